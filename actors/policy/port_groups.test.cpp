// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/port_groups.hpp"

#include <gtest/gtest.h>

#include <bit>

namespace marchproxy::policy {
namespace {

mp_atom atom(std::uint32_t protocols, std::uint16_t first, std::uint16_t last) {
  return {protocols << 24, 0, first, last, 0};
}

TEST(port_groups, single_ports_are_shared_out_by_load_and_everything_else_is_in_group_0) {
  std::vector<mp_atom> atoms(30, atom(MP_PROTO_TCP, 443, 443));
  for (std::uint16_t port = 1; port <= 42; ++port)
    atoms.push_back(atom(MP_PROTO_UDP, port, port));
  atoms.push_back(atom(MP_PROTO_TCP, 0, 65535));
  atoms.push_back(atom(MP_PROTO_ICMP, 0, 0));
  port_groups groups{atoms};

  auto busy = groups.of(atoms[0]);
  EXPECT_EQ(std::popcount(busy), 1);
  std::array<int, 32> members{};
  for (std::size_t i = 30; i < 72; ++i) {
    EXPECT_EQ(std::popcount(groups.of(atoms[i])), 1);
    EXPECT_NE(groups.of(atoms[i]), busy) << "the fullest group gets no more";
    EXPECT_NE(groups.of(atoms[i]), 1U);
    ++members[static_cast<std::size_t>(std::countr_zero(groups.of(atoms[i])))];
  }
  for (std::size_t group = 1; group < MP_GROUPS; ++group)
    EXPECT_EQ(members[group], busy == 1U << group ? 0 : 3);
  EXPECT_EQ(groups.of(atoms[72]), 1U);
  EXPECT_EQ(groups.of(atoms[73]), 1U);
}

TEST(port_groups, a_port_of_both_protocols_is_in_the_groups_of_both) {
  std::vector<mp_atom> atoms{atom(MP_PROTO_TCP | MP_PROTO_UDP, 53, 53), atom(MP_PROTO_TCP, 80, 80)};
  port_groups groups{atoms};
  EXPECT_EQ(std::popcount(groups.of(atoms[0])), 2);
  EXPECT_EQ(groups.of(atoms[0]),
            groups.of(atom(MP_PROTO_TCP, 53, 53)) | groups.of(atom(MP_PROTO_UDP, 53, 53)));
}

TEST(port_groups, pieces_say_for_each_port_what_of_says) {
  std::vector<mp_atom> atoms{atom(MP_PROTO_TCP, 80, 80), atom(MP_PROTO_UDP, 81, 81),
                             atom(MP_PROTO_TCP | MP_PROTO_UDP, 65535, 65535)};
  port_groups groups{atoms};
  auto pieces = groups.pieces();
  EXPECT_EQ(pieces.front().start, radix_key{0});
  auto at = [&](std::uint32_t port) {
    std::uint32_t value = 0;
    for (const auto& piece : pieces)
      if (piece.start <= port)
        value = piece.value;
    return value;
  };
  for (std::uint32_t port : {79U, 80U, 81U, 82U, 65534U, 65535U}) {
    auto number = static_cast<std::uint16_t>(port);
    EXPECT_EQ(1U << (at(port) & 0xf), groups.of(atom(MP_PROTO_TCP, number, number))) << port;
    EXPECT_EQ(1U << (at(port) >> 4), groups.of(atom(MP_PROTO_UDP, number, number))) << port;
  }
}

} // namespace
} // namespace marchproxy::policy

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/port_groups.hpp"

#include "actors/policy/prefix_tree.hpp"

#include <algorithm>
#include <tuple>

namespace marchproxy::policy {

namespace {

std::uint32_t protocols(const mp_atom& atom) noexcept {
  return atom.src_low >> 24;
}

bool of_one_port(const mp_atom& atom) noexcept {
  return atom.port_low == atom.port_high && (protocols(atom) & MP_PROTO_ICMP) == 0;
}

} // namespace

port_groups::port_groups(std::span<const mp_atom> atoms) {
  std::vector<std::uint32_t> counts(2 * ports); // TCP's, then UDP's
  for (const auto& atom : atoms) {
    if (!of_one_port(atom))
      continue;
    counts[atom.port_low] += (protocols(atom) & MP_PROTO_TCP) != 0;
    counts[ports + atom.port_low] += (protocols(atom) & MP_PROTO_UDP) != 0;
  }
  std::vector<std::uint32_t> used;
  for (std::uint32_t i = 0; i < counts.size(); ++i)
    if (counts[i] != 0)
      used.push_back(i);
  // The largest first, each to the group that has least.
  std::sort(used.begin(), used.end(), [&](auto a, auto b) {
    return std::tuple{counts[b], a} < std::tuple{counts[a], b};
  });
  std::array<std::uint64_t, MP_GROUPS> load{};
  for (auto i : used) {
    auto least = std::min_element(load.begin() + 1, load.end());
    *least += counts[i];
    auto group = static_cast<std::uint8_t>(least - load.begin());
    (i < ports ? tcp_[i] : udp_[i - ports]) = group;
  }
}

std::uint32_t port_groups::of(const mp_atom& atom) const noexcept {
  if (!of_one_port(atom))
    return 1;
  std::uint32_t out = 0;
  if ((protocols(atom) & MP_PROTO_TCP) != 0)
    out |= 1U << tcp_[atom.port_low];
  if ((protocols(atom) & MP_PROTO_UDP) != 0)
    out |= 1U << udp_[atom.port_low];
  return out;
}

std::vector<radix_piece> port_groups::pieces() const {
  std::vector<radix_piece> out;
  for (std::uint32_t port = 0; port < ports; ++port)
    add_piece(out, {port, tcp_[port] | static_cast<std::uint32_t>(udp_[port]) << 4});
  return out;
}

} // namespace marchproxy::policy

// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/worker/source_table.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace marchproxy::packet_worker {
namespace {

mp_address address(std::uint64_t number) {
  return {{0, 0xffff'0000ULL | number << 32}};
}

TEST(source_table_, counts_as_a_map_does) {
  constexpr std::size_t most = 64;
  source_table table{most, {1, 2}};
  std::map<std::uint64_t, std::uint32_t> expected;
  std::mt19937_64 random{3};
  for (int i = 0; i < 200'000; ++i) {
    auto number = random() % 100;
    if (random() % 2 == 0 && (expected.contains(number) || expected.size() < most)) {
      table.add(address(number));
      ++expected[number];
    } else if (auto at = expected.find(number); at != expected.end()) {
      table.remove(address(number));
      if (--at->second == 0)
        expected.erase(at);
    }
    auto asked = random() % 100;
    ASSERT_EQ(table.held(address(asked)), expected.contains(asked) ? expected[asked] : 0U) << i;
  }
}

} // namespace
} // namespace marchproxy::packet_worker

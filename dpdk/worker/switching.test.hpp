// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/test/parity.hpp"
#include "dpdk/worker/pool.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>

namespace marchproxy::packet_worker::testing {

/// Switches a pool between two policies whose mix is impossible, while somebody sends parity_flow()
/// packets. Every report that comes of it has to be of one of them.
struct switching {
  std::uint64_t reported = 0;
  std::uint64_t mixed = 0;
  std::uint64_t failed = 0;
  std::uint64_t switches = 0;

  void drain(pool& of) {
    reported += of.drain_events(
      [&](const tier_ebpf::flow_event& e) {
        mixed += tier_ebpf::testing::mixed(e.verdict) ? 1U : 0U;
      },
      100'000);
  }
  /// At least so many times, and until as many reports have come.
  void run(pool& of, std::uint64_t least) {
    const std::array programs{tier_ebpf::testing::parity_policy(2),
                              tier_ebpf::testing::parity_policy(1)};
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{100};
    for (std::uint64_t i = 0; i < least || reported < least; ++i) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      auto prepared = of.prepare(programs[i % 2]);
      auto committed = of.commit();
      ++switches;
      failed += prepared && committed ? 0U : 1U;
      drain(of);
    }
  }
};

} // namespace marchproxy::packet_worker::testing

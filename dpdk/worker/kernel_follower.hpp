// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/ip.hpp"
#include "bpf/loader/descriptor.hpp"
#include "dpdk/forwarding/netlink.hpp"
#include "dpdk/worker/pool.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

namespace marchproxy::packet_worker {

/// Keeps the workers' forwarding table what the kernel's routes and neighbours are: reads them when
/// it is made, and again after each change, 50 times a second at most. Has stale neighbours
/// confirmed every 15 s.
///
/// It acts on the network namespace of the thread that makes it.
class kernel_follower {
public:
  /// Told the node's own addresses before the workers are, whenever they were read.
  using own_addresses = std::function<result<void>(std::span<const ip_address>)>;

  /// @param interfaces  by the workers' port numbers
  /// @param into        outlives this object
  /// @errors unavailable
  [[nodiscard]] static result<std::unique_ptr<kernel_follower>>
  start(pool& into, std::vector<int> interfaces, own_addresses tell);
  kernel_follower(const kernel_follower&) = delete;
  kernel_follower& operator=(const kernel_follower&) = delete;
  ~kernel_follower();

  /// Tables made so far.
  [[nodiscard]] std::uint32_t tables() const noexcept { return generation_; }
  /// Times that the kernel could not be read, or the table not be put in force: the table before
  /// stayed.
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }

private:
  kernel_follower(pool& into,
                  std::vector<int> interfaces,
                  own_addresses tell,
                  forwarding::change_watch watch);
  [[nodiscard]] result<void> refresh();
  void run() noexcept;
  /// @return whether to go on
  [[nodiscard]] bool wait(short* heard, int milliseconds) const noexcept;

  pool& into_;
  std::vector<int> interfaces_;
  own_addresses tell_;
  forwarding::change_watch watch_;
  tier_ebpf::descriptor stop_; ///< eventfd
  forwarding::kernel_view seen_;
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<std::uint64_t> failures_{0};
  std::thread thread_;
};

} // namespace marchproxy::packet_worker

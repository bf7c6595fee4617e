// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bus-schemas/messages.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

namespace marchproxy::proxy {

/// Verdicts on their way from a tier's records to the node's actor, and so to the bus. Bounded in
/// number and in rate: what finds no place is lost, counted, and never slows a flow.
///
/// Threads: admit() and push() from one, take() and on_waiting() from one, the counters from any.
class verdict_feed {
public:
  using clock = std::chrono::steady_clock;
  struct limits {
    std::size_t waiting = 4096;      ///< verdicts that may wait while the bus is slow or away
    std::uint32_t per_second = 1000; ///< a second's worth may come at once
  };

  explicit verdict_feed(limits of) : limits_(of), tokens_(of.per_second) {}

  /// Whether the next verdict has a place; if not it is lost, so it need not be made.
  [[nodiscard]] bool admit(clock::time_point now);
  /// Only after admit().
  void push(bus_schemas::flow_verdict v);

  /// The oldest ones, at most @p limit.
  [[nodiscard]] std::vector<bus_schemas::flow_verdict> take(std::size_t limit);
  /// @param wake  is called, from push(), when one waits that was not preceded by another; empty:
  /// nothing is
  void on_waiting(std::function<void()> wake);

  void count_published(std::size_t n) noexcept { published_ += n; }
  void count_lost(std::size_t n) noexcept { lost_ += n; }
  [[nodiscard]] std::uint64_t published() const noexcept { return published_; }
  /// Found no place, came too fast, or were on their way when the link broke.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

private:
  const limits limits_;
  double tokens_;
  clock::time_point filled_{};
  std::mutex lock_; ///< of what follows
  std::deque<bus_schemas::flow_verdict> waiting_;
  std::function<void()> wake_;
  std::atomic<std::uint64_t> published_{0};
  std::atomic<std::uint64_t> lost_{0};
};

} // namespace marchproxy::proxy

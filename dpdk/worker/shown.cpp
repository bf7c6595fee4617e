// SPDX-License-Identifier: AGPL-3.0-only
// What others see of a worker.
#include "dpdk/worker/worker.hpp"

#include <atomic>
#include <iterator>

namespace marchproxy::packet_worker {

void worker::publish_counters() noexcept {
  auto show = [](const auto& from, auto& to) {
    for (std::size_t i = 0; i < std::size(from); ++i)
      std::atomic_ref{to[i]}.store(from[i], std::memory_order_relaxed);
  };
  show(totals_now_.value, totals_.value);
  show(ways_now_.value, ways_.value);
  std::atomic_ref{connections_}.store(flows_.size(), std::memory_order_relaxed);
  std::atomic_ref{evicted_}.store(flows_.evicted(), std::memory_order_relaxed);
}

mp_totals worker::totals() const noexcept {
  mp_totals out{};
  for (std::size_t i = 0; i < MP_TOTAL_COUNT; ++i)
    out.value[i] = read_of(totals_.value[i]);
  return out;
}

way_counters worker::ways() const noexcept {
  way_counters out;
  for (std::size_t i = 0; i < out.value.size(); ++i)
    out.value[i] = read_of(ways_.value[i]);
  return out;
}

} // namespace marchproxy::packet_worker

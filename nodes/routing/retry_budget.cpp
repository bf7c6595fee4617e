// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/routing/retry_budget.hpp"

#include <algorithm>

namespace marchproxy::routing {

retry_budget::use retry_budget::take(std::uint64_t under_way) noexcept {
  const auto most = std::max<std::uint64_t>(floor, under_way * percent_ / 100);
  auto now = retries_.load(std::memory_order_relaxed);
  while (now < most)
    if (retries_.compare_exchange_weak(now, now + 1, std::memory_order_relaxed))
      return use{*this};
  return {};
}

} // namespace marchproxy::routing

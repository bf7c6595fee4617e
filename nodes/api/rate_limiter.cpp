// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/rate_limiter.hpp"

#include <algorithm>
#include <chrono>

namespace marchproxy::api {

rate_limiter::rate_limiter(double burst, double per_second)
  : burst_(burst), per_second_(per_second) {}

double rate_limiter::refilled(const bucket& of, time_point now) const noexcept {
  const std::chrono::duration<double> passed = now - of.seen;
  return std::min(burst_, of.level + std::max(0.0, passed.count()) * per_second_);
}

void rate_limiter::make_room(time_point now) {
  // A full bucket says nothing that a new one would not. Looking at all of them is dear, so once a
  // second at most.
  if (now - swept_ >= std::chrono::seconds(1)) {
    swept_ = now;
    for (auto at = buckets_.begin(); at != buckets_.end();)
      at = refilled(at->second, now) >= burst_ ? buckets_.erase(at) : std::next(at);
  }
  // Still full: an attack from many addresses. Forgetting one of them keeps memory bounded.
  if (buckets_.size() >= max_clients)
    buckets_.erase(buckets_.begin());
}

bool rate_limiter::allow(const std::string& client, time_point now) {
  const std::lock_guard lock(mutex_);
  auto found = buckets_.find(client);
  if (found == buckets_.end()) {
    if (buckets_.size() >= max_clients)
      make_room(now);
    found = buckets_.emplace(client, bucket{burst_, now}).first;
  }
  auto& mine = found->second;
  mine.level = refilled(mine, now);
  mine.seen = now;
  if (mine.level < 1.0)
    return false;
  mine.level -= 1.0;
  return true;
}

} // namespace marchproxy::api

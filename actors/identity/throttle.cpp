// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/identity/throttle.hpp"

#include <algorithm>

namespace marchproxy::identity {

std::chrono::seconds lock_duration(std::uint64_t failures, const throttle_policy& policy) noexcept {
  if (failures <= policy.free_failures)
    return std::chrono::seconds{0};
  auto lock = policy.first_lock;
  for (auto n = policy.free_failures + 1; n < failures && lock < policy.longest_lock; ++n)
    lock *= 2;
  return std::min(lock, policy.longest_lock);
}

std::optional<time_point> locked_until(const throttle_state& state, time_point now) noexcept {
  return state.locked_until && *state.locked_until > now ? state.locked_until : std::nullopt;
}

throttle_state after_failure(const throttle_state& before,
                             time_point now,
                             const throttle_policy& policy) noexcept {
  const bool forgotten = now - before.last_failure >= policy.forget_after;
  throttle_state out{forgotten ? 1 : before.failures + 1, now, std::nullopt};
  if (const auto lock = lock_duration(out.failures, policy); lock > std::chrono::seconds{0})
    out.locked_until = now + lock;
  return out;
}

} // namespace marchproxy::identity

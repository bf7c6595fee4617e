// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/time.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace marchproxy::identity {

/// Failed logins of one user name, or from one source address; stored by subject.
struct throttle_state {
  std::uint64_t failures = 0;
  time_point last_failure;
  std::optional<time_point> locked_until = {};

  bool operator==(const throttle_state&) const = default;
};

/// After `free_failures` in a row each further failure locks, the first time for `first_lock`, then
/// twice as long each time, up to `longest_lock`. Failures older than `forget_after` count no more.
struct throttle_policy {
  std::uint64_t free_failures = 4;
  std::chrono::seconds first_lock{30};
  std::chrono::seconds longest_lock = std::chrono::hours{1};
  std::chrono::seconds forget_after = std::chrono::hours{24};
};
/// Names are few and guessed at; behind one address there may be many people.
constexpr throttle_policy user_throttle{};
constexpr throttle_policy source_throttle{.free_failures = 19};

/// How long @p failures in a row lock; 0 s: not at all.
[[nodiscard]] std::chrono::seconds lock_duration(std::uint64_t failures,
                                                 const throttle_policy& policy) noexcept;
/// When the next try is judged; nothing if it is judged now. A try while locked is refused without
/// looking at the password, and counts as no failure: an attacker can't prolong a lock.
[[nodiscard]] std::optional<time_point> locked_until(const throttle_state& state,
                                                     time_point now) noexcept;
[[nodiscard]] throttle_state
after_failure(const throttle_state& before, time_point now, const throttle_policy& policy) noexcept;
/// What a user's state is after a success. A source's stays: one good account behind an address
/// does not excuse guesses at others.
[[nodiscard]] constexpr throttle_state after_success() noexcept {
  return {};
}

} // namespace marchproxy::identity

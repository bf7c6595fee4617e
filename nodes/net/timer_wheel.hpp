// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

namespace marchproxy::net {

using clock = std::chrono::steady_clock;

/// A member of one intrusive list or of none; leaves it when destroyed. Not copied, not moved.
class list_node {
public:
  list_node() noexcept : prev_(this), next_(this) {}
  list_node(const list_node&) = delete;
  list_node& operator=(const list_node&) = delete;
  ~list_node() { unlink(); }

  [[nodiscard]] bool linked() const noexcept { return next_ != this; }
  [[nodiscard]] list_node* next() const noexcept { return next_; }
  void unlink() noexcept;
  /// Puts @p node, which is in no list, before this one.
  void insert_before(list_node& node) noexcept;

private:
  list_node* prev_;
  list_node* next_;
};

/// Runs its action once at or after a deadline, unless disarmed or destroyed before. Belongs to one
/// loop's thread.
class timer : public list_node {
public:
  explicit timer(std::function<void()> action) : action_(std::move(action)) {}

  void disarm() noexcept { unlink(); }
  [[nodiscard]] bool armed() const noexcept { return linked(); }

private:
  friend class timer_wheel;
  clock::time_point deadline_{};
  std::function<void()> action_;
};

/// Timers hashed by deadline: arming and disarming cost the same for any number of timers.
/// Resolution 8 ms; a timer never fires early.
class timer_wheel {
public:
  static constexpr std::chrono::milliseconds tick{8};

  explicit timer_wheel(clock::time_point now) noexcept;
  void arm(timer& t, clock::time_point deadline) noexcept;
  /// Runs the actions of all timers that are due. They may arm, disarm and destroy timers.
  void advance(clock::time_point now);
  /// Until when nothing can be due; none when no timer is armed. May be earlier than the next
  /// deadline.
  [[nodiscard]] std::optional<clock::time_point> next_wake() noexcept;

private:
  static constexpr std::size_t slots = 1024;
  [[nodiscard]] std::uint64_t tick_of(clock::time_point at) const noexcept;

  clock::time_point start_;
  std::uint64_t current_ = 0; ///< first tick that was not yet run
  std::array<list_node, slots> slots_;
  std::array<std::uint64_t, slots / 64> used_{}; ///< a bit for each slot that may hold a timer
};

} // namespace marchproxy::net

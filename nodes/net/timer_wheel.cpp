// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/net/timer_wheel.hpp"

#include <algorithm>
#include <bit>

namespace marchproxy::net {

void list_node::unlink() noexcept {
  prev_->next_ = next_;
  next_->prev_ = prev_;
  prev_ = next_ = this;
}

void list_node::insert_before(list_node& node) noexcept {
  node.prev_ = prev_;
  node.next_ = this;
  prev_->next_ = &node;
  prev_ = &node;
}

timer_wheel::timer_wheel(clock::time_point now) noexcept : start_(now) {}

std::uint64_t timer_wheel::tick_of(clock::time_point at) const noexcept {
  return at <= start_ ? 0 : static_cast<std::uint64_t>((at - start_) / tick);
}

void timer_wheel::arm(timer& t, clock::time_point deadline) noexcept {
  t.unlink();
  t.deadline_ = deadline;
  // One tick later than the deadline's own: never early.
  auto due = std::max(tick_of(deadline) + 1, current_);
  auto slot = due % slots;
  slots_[slot].insert_before(t);
  used_[slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void timer_wheel::advance(clock::time_point now) {
  auto target = tick_of(now);
  if (target < current_)
    return;
  // After a long sleep one turn of the wheel visits every slot.
  auto first = target - current_ >= slots ? target - slots + 1 : current_;
  current_ = target + 1;
  for (auto at = first; at <= target; ++at) {
    auto slot = at % slots;
    if ((used_[slot / 64] >> (slot % 64) & 1) == 0)
      continue;
    // Actions may change this list, so the due timers move to a list of their own first.
    list_node due;
    list_node* node = slots_[slot].next();
    while (node != &slots_[slot]) {
      auto* t = static_cast<timer*>(node);
      node = node->next();
      if (t->deadline_ <= now) {
        t->unlink();
        due.insert_before(*t);
      }
    }
    if (!slots_[slot].linked())
      used_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
    while (due.linked()) {
      auto* t = static_cast<timer*>(due.next());
      t->unlink();
      t->action_();
    }
  }
}

std::optional<clock::time_point> timer_wheel::next_wake() noexcept {
  for (std::uint64_t ahead = 0; ahead < slots;) {
    auto slot = (current_ + ahead) % slots;
    auto rest = used_[slot / 64] >> (slot % 64);
    if (rest == 0) {
      ahead += 64 - slot % 64;
      continue;
    }
    ahead += static_cast<std::uint64_t>(std::countr_zero(rest));
    slot = (current_ + ahead) % slots;
    if (slots_[slot].linked())
      return start_ + (current_ + ahead) * tick;
    used_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64)); // its timers were disarmed
  }
  return std::nullopt;
}

} // namespace marchproxy::net

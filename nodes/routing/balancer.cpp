// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/routing/balancer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace marchproxy::routing {

namespace {

constexpr std::size_t most_turns = 4096;

/// Each member as often as its weight says, as evenly as can be (smooth weighted round robin:
/// whoever is furthest behind its share is next).
std::vector<std::uint8_t> take_turns(const std::vector<balancer::member>& members) {
  std::uint64_t common = 0;
  std::uint64_t total = 0;
  for (const auto& one : members) {
    if (one.draining)
      continue;
    common = std::gcd(common, std::uint64_t{one.weight});
    total += one.weight;
  }
  if (total == 0)
    return {};
  const auto length = std::min<std::uint64_t>(total / common, most_turns);
  std::vector<std::int64_t> ahead(members.size(), 0);
  std::vector<std::uint8_t> out;
  out.reserve(length);
  while (out.size() < length) {
    std::size_t next = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (members[i].draining)
        continue;
      ahead[i] += members[i].weight;
      if (ahead[i] > ahead[next])
        next = i;
    }
    ahead[next] -= static_cast<std::int64_t>(total);
    out.push_back(static_cast<std::uint8_t>(next));
  }
  return out;
}

/// A number in (0, 1) that depends on both, evenly (the finisher of splitmix64).
double mix(std::uint64_t a, std::uint64_t b) noexcept {
  auto x = a ^ (b * 0x9e3779b97f4a7c15U);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  x ^= x >> 31;
  return (static_cast<double>(x >> 11) + 0.5) * 0x1p-53;
}

} // namespace

balancer::balancer(std::vector<member> members, model::balancing how, const balancing_terms& terms)
  : members_(std::move(members)), how_(how), terms_(terms), turns_(take_turns(members_)) {}

double balancer::share(std::size_t place, clock::time_point now) const noexcept {
  return terms_.slow_start.count() == 0 ? 1.0
                                        : members_[place].endpoint->share(now, terms_.slow_start);
}

template <class May>
std::optional<std::size_t> balancer::take_turn(clock::time_point now, May may) const {
  const auto start = next_.fetch_add(1, std::memory_order_relaxed);
  // Of the turns of a member that has not its whole share yet some go to whoever is next: by a
  // sequence that is as even as can be over every few of them (multiples of the golden ratio).
  const auto mark = static_cast<double>(start * 0x9e3779b9U) * 0x1p-32;
  std::optional<std::size_t> slow;
  for (std::size_t i = 0; i < turns_.size(); ++i) {
    const std::size_t turn = turns_[(start + i) % turns_.size()];
    if (!may(turn))
      continue;
    if (mark < share(turn, now))
      return turn;
    if (!slow)
      slow = turn;
  }
  if (slow)
    return slow;
  // Members whose weight is too small to have a turn in a shortened list.
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (may(i))
      return i;
  return std::nullopt;
}

template <class May>
std::optional<std::size_t>
balancer::choose_if(std::uint64_t source, clock::time_point now, May may) const {
  if (how_ == model::balancing::round_robin)
    return take_turn(now, may);
  std::optional<std::size_t> best;
  auto best_cost = std::numeric_limits<double>::infinity();
  // Among equals the turn decides, or the first would have all that a quiet route gets.
  const auto start =
    how_ == model::balancing::least_connections ? next_.fetch_add(1, std::memory_order_relaxed) : 0;
  for (std::size_t n = 0; n < members_.size(); ++n) {
    const auto i = (start + n) % members_.size();
    if (!may(i))
      continue;
    const auto& one = members_[i];
    // Weighted rendezvous hashing: a member's cost for a source does not depend on the others.
    const auto cost =
      (how_ == model::balancing::least_connections ? one.endpoint->active() + 1.0
                                                   : -std::log(mix(source, one.endpoint->hash())))
      / (one.weight * share(i, now));
    if (cost < best_cost) {
      best = i;
      best_cost = cost;
    }
  }
  return best;
}

std::optional<std::size_t>
balancer::choose(std::uint64_t source, const tried_set& tried, clock::time_point now) const {
  const auto open = [&](std::size_t i) {
    return !tried[i] && !members_[i].draining && has_room(members_[i]);
  };
  if (const auto found = choose_if(
        source, now, [&](std::size_t i) { return open(i) && members_[i].endpoint->usable(now); }))
    return found;
  return choose_if(source, now, open);
}

std::optional<std::size_t> balancer::draining(const endpoint& held,
                                              clock::time_point now) const noexcept {
  const auto found = std::find_if(members_.begin(), members_.end(), [&](const member& one) {
    return one.draining && one.endpoint.get() == &held && has_room(one);
  });
  if (found == members_.end() || !held.usable(now))
    return std::nullopt;
  return static_cast<std::size_t>(found - members_.begin());
}

std::uint64_t balancer::under_way() const noexcept {
  return std::accumulate(
    members_.begin(), members_.end(), std::uint64_t{0},
    [](std::uint64_t sum, const member& one) { return sum + one.endpoint->active(); });
}

} // namespace marchproxy::routing

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/model.hpp"
#include "nodes/routing/backend_tls.hpp"
#include "nodes/routing/endpoint.hpp"

#include <atomic>
#include <bitset>
#include <cstdint>
#include <memory>
#include <vector>

namespace marchproxy::routing {

/// What holds for all backends of a route.
struct balancing_terms {
  std::uint32_t most_under_way = 0;        ///< at one of them, by whatever route; 0: no bound
  std::chrono::milliseconds slow_start{0}; ///< see endpoint::share(); 0: each has all at once
};

/// Chooses among the backends of one route. Any thread, without locks.
class balancer {
public:
  static constexpr std::size_t most_members = 64;
  /// Members that a request has tried already.
  using tried_set = std::bitset<most_members>;

  struct member {
    std::shared_ptr<routing::endpoint> endpoint;
    std::uint32_t weight = 1;                                  ///< at least 1
    bool draining = false;                                     ///< never chosen
    model::proxy_header introduces = model::proxy_header::off; ///< its clients to it
    std::shared_ptr<const backend_tls> tls = {};               ///< null: plain
  };
  /// @param members  1 to most_members
  balancer(std::vector<member> members, model::balancing how, const balancing_terms& terms = {});

  /// A member that was not tried, does not drain and has room: one that is usable, or, when none
  /// is, any: a guess is better than a refusal.
  /// @param source  hash of the client's address; counts for source_hash
  /// @return its place, or nothing when none is left
  [[nodiscard]] std::optional<std::size_t>
  choose(std::uint64_t source, const tried_set& tried, clock::time_point now) const;
  /// The place of @p held, where that drains, is usable and has room: for who goes on with it.
  [[nodiscard]] std::optional<std::size_t> draining(const endpoint& held,
                                                    clock::time_point now) const noexcept;
  /// Takes the room that choose() saw. @return empty when another was faster: choose again
  [[nodiscard]] endpoint::use use(std::size_t place) const noexcept {
    return endpoint::use::within(members_[place].endpoint, terms_.most_under_way);
  }
  /// At all members, by whatever route.
  [[nodiscard]] std::uint64_t under_way() const noexcept;

  [[nodiscard]] const std::vector<member>& members() const noexcept { return members_; }

private:
  template <class May>
  [[nodiscard]] std::optional<std::size_t>
  choose_if(std::uint64_t source, clock::time_point now, May may) const;
  template <class May>
  [[nodiscard]] std::optional<std::size_t> take_turn(clock::time_point now, May may) const;
  [[nodiscard]] bool has_room(const member& one) const noexcept {
    return terms_.most_under_way == 0 || one.endpoint->active() < terms_.most_under_way;
  }
  [[nodiscard]] double share(std::size_t place, clock::time_point now) const noexcept;

  const std::vector<member> members_;
  const model::balancing how_;
  const balancing_terms terms_;
  std::vector<std::uint8_t>
    turns_; ///< members in the order of their turns, each as its weight says
  mutable std::atomic<std::uint32_t> next_{0};
};

} // namespace marchproxy::routing

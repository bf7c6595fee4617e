// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/ingress_route.hpp"
#include "nodes/routing/backend_tls.hpp"
#include "nodes/routing/endpoint.hpp"

#include <atomic>
#include <bitset>
#include <cstdint>
#include <memory>
#include <vector>

namespace marchproxy::routing {

/// Chooses among the backends of one route. Any thread, without locks.
class balancer {
public:
  static constexpr std::size_t most_members = 64;
  /// Members that a request has tried already.
  using tried_set = std::bitset<most_members>;

  struct member {
    std::shared_ptr<routing::endpoint> endpoint;
    std::uint32_t weight = 1;                    ///< at least 1
    std::shared_ptr<const backend_tls> tls = {}; ///< null: plain
  };
  /// @param members  1 to most_members
  balancer(std::vector<member> members, model::balancing how);

  /// A member that was not tried: one that is usable, or, when none is, any: a guess is better than
  /// a refusal.
  /// @param source  hash of the client's address; counts for source_hash
  /// @return its place, or nothing when all were tried
  [[nodiscard]] std::optional<std::size_t>
  choose(std::uint64_t source, const tried_set& tried, clock::time_point now) const;

  [[nodiscard]] const std::vector<member>& members() const noexcept { return members_; }

private:
  template <class May>
  [[nodiscard]] std::optional<std::size_t> choose_if(std::uint64_t source, May may) const;

  const std::vector<member> members_;
  const model::balancing how_;
  std::vector<std::uint8_t>
    turns_; ///< members in the order of their turns, each as its weight says
  mutable std::atomic<std::uint32_t> next_{0};
};

} // namespace marchproxy::routing

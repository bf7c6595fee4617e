// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/counters.hpp"
#include "nodes/routing/route_table.hpp"

#include <memory>
#include <optional>
#include <utility>

namespace marchproxy::relay {

/// Which backend one request or connection goes to, and which next when that one cannot be reached.
class backend_choice {
public:
  /// @param held  see held()
  explicit backend_choice(std::shared_ptr<const routing::endpoint> held = nullptr) noexcept
    : held_(std::move(held)) {}
  /// @param route  of @p table, which is kept while the choice lasts
  void begin(std::shared_ptr<const routing::route_table> table,
             const routing::compiled_route& route,
             const ip_address& client);
  /// Where to go now; null when there is nowhere left, or no try.
  [[nodiscard]] const wire::host_port* next(routing::clock::time_point now,
                                            worker_counters& counters);
  /// After next() found nothing: some backend was left, and none of those had room.
  [[nodiscard]] bool overloaded() const noexcept { return overloaded_; }

  /// How the one at hand hears of the client before anything else.
  [[nodiscard]] model::proxy_header introduces() const noexcept {
    return route_->backends->members()[place_].introduces;
  }
  /// Of the one at hand; null: plain.
  [[nodiscard]] const std::shared_ptr<const routing::backend_tls>& tls() const noexcept {
    return route_->backends->members()[place_].tls;
  }
  /// The one at hand took the connection, or answered.
  void reached() noexcept;
  /// It did not. One try less.
  void failed(routing::clock::time_point now) noexcept;
  /// The policy does not let this client go there. No try less: it says nothing about the backend.
  void refused() noexcept { use_.reset(); }

  [[nodiscard]] const routing::compiled_route& route() const noexcept { return *route_; }
  /// For what goes on after the request: the backend counts as busy while it is there.
  [[nodiscard]] routing::endpoint::use take() noexcept {
    retry_.reset();
    return std::move(use_);
  }
  /// The backend that answered the client last on a route that balances by source_hash: if it
  /// drains, this client goes on with it. Null: none did.
  [[nodiscard]] const std::shared_ptr<const routing::endpoint>& held() const noexcept {
    return held_;
  }
  /// The exchange is over.
  void end() noexcept;

private:
  [[nodiscard]] std::optional<std::size_t> choose(routing::clock::time_point now) const;

  std::shared_ptr<const routing::route_table> table_;
  const routing::compiled_route* route_ = nullptr;
  std::uint64_t source_ = 0;
  routing::balancer::tried_set tried_;
  std::uint32_t tries_left_ = 0;
  bool failed_ = false; ///< what comes next is a retry
  bool overloaded_ = false;
  routing::retry_budget::use retry_; ///< of the route's
  std::size_t place_ = 0;            ///< of the one at hand
  routing::endpoint::use use_;
  std::shared_ptr<const routing::endpoint> held_;
};

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/proxy/tier.hpp"
#include "nodes/relay/relay_server.hpp"
#include "nodes/routing/endpoint.hpp"

#include <map>
#include <memory>
#include <string>

namespace marchproxy::serving {

/// The relay as a tier: `sockets`.
class relay_tier : public proxy::tier {
public:
  /// @param backends  not null: ingress routes are served too, to these
  /// @param acceptor  the relay's; null: routes with tls are refused
  explicit relay_tier(relay::relay_server& server,
                      routing::endpoints* backends = nullptr,
                      std::shared_ptr<const tls::acceptor> acceptor = nullptr)
    : server_(server), backends_(backends), acceptor_(std::move(acceptor)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return relay::tier_name; }
  [[nodiscard]] result<void>
  prepare(const std::shared_ptr<const policy::program>& program) override;
  /// Returns when no worker judges by the old program any more.
  [[nodiscard]] result<void> commit() override;
  void abort() noexcept override { prepared_.reset(); }
  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const override;
  /// The ingress routes in force; null where none are served. Any thread.
  [[nodiscard]] std::shared_ptr<const routing::route_table> routes() const {
    return routes_.load();
  }
  /// The limits in force; null when there are none. Any thread.
  [[nodiscard]] std::shared_ptr<const limiting::limit_table> limits() const {
    return limits_.load();
  }

private:
  [[nodiscard]] result<void> can_serve(const routing::route_table& routes) const;

  relay::relay_server& server_;
  routing::endpoints* backends_;
  limiting::meters meters_;
  std::shared_ptr<const tls::acceptor> acceptor_;
  std::shared_ptr<const relay::policy_snapshot> prepared_;
  std::atomic<std::shared_ptr<const routing::route_table>> routes_;
  std::atomic<std::shared_ptr<const limiting::limit_table>> limits_;
};

} // namespace marchproxy::serving

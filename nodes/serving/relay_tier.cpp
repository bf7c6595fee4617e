// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/relay_tier.hpp"

#include "actors/identity/data_auth.hpp"

#include <chrono>
#include <thread>
#include <utility>

namespace marchproxy::serving {

namespace {

constexpr auto turn_patience = std::chrono::seconds{5};

} // namespace

result<void> relay_tier::prepare(const std::shared_ptr<const policy::program>& program) {
  auto authenticator = std::make_shared<const identity::authenticator>(program->rules());
  if (!authenticator->unusable().empty())
    return fail(errc::invalid_argument, "credential " + authenticator->unusable().front());
  std::shared_ptr<const routing::route_table> routes;
  if (backends_ != nullptr) {
    auto built = routing::route_table::build(program->rules(), *backends_);
    if (!built)
      return tl::unexpected(built.error());
    routes = std::move(*built);
    if (auto able = can_serve(*routes); !able)
      return able;
  }
  auto limits = limiting::limit_table::build(program->rules(), meters_, limiting::clock::now());
  if (limits->all().empty())
    limits.reset(); // so that flows do not ask
  prepared_ =
    std::make_shared<const relay::policy_snapshot>(program, authenticator, routes, limits);
  return {};
}

result<void> relay_tier::can_serve(const routing::route_table& routes) const {
  for (const auto& port : routes.ports()) {
    if (!port.tls)
      continue;
    const auto which = "the ingress routes of port " + std::to_string(port.number) + " want ";
    if (!acceptor_)
      return fail(errc::unsupported, which + "TLS, and TLS_CERT_DIR is not set");
    if (port.asks_who && !acceptor_->certificates().current()->clients)
      return fail(errc::unsupported,
                  which + "client certificates, and TLS_CLIENT_CA_FILE is not set");
  }
  return {};
}

result<void> relay_tier::commit() {
  if (!prepared_)
    return fail(errc::refused, "nothing is prepared");
  routes_ = prepared_->routes;
  limits_ = prepared_->limits;
  server_.publish(std::exchange(prepared_, nullptr));
  auto deadline = std::chrono::steady_clock::now() + turn_patience;
  while (!server_.in_force()) {
    if (std::chrono::steady_clock::now() > deadline)
      return fail(errc::timeout, "a worker did not turn to the new revision in time");
    std::this_thread::sleep_for(
      std::chrono::microseconds{200}); // a worker's turn is shorter than a wake-up
  }
  return {};
}

std::map<std::string, std::uint64_t> relay_tier::counters() const {
  auto t = server_.totals();
  std::map<std::string, std::uint64_t> out{{"sockets_connections", t.connections},
                                           {"sockets_open", t.open},
                                           {"sockets_over_limit", t.over_limit},
                                           {"sockets_allowed", t.allowed},
                                           {"sockets_denied", t.denied},
                                           {"sockets_observed", t.all_observed()},
                                           {"sockets_auth_successes", t.auth_successes},
                                           {"sockets_auth_failures", t.auth_failures},
                                           {"sockets_bytes_up", t.bytes_up},
                                           {"sockets_bytes_down", t.bytes_down},
                                           {"sockets_upstream_failures", t.upstream_failures},
                                           {"sockets_records_lost", t.records_lost}};
  return out;
}

} // namespace marchproxy::serving

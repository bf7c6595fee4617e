// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/ingress/node.hpp"

#include "nodes/ingress/tls_view.hpp"
#include "nodes/serving/node.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include <set>

namespace marchproxy::ingress {

namespace {

/// Shorter than a client's patience: another backend may be there.
constexpr std::chrono::milliseconds connect_timeout{3'000};
constexpr std::size_t idle_upstreams = 256;

void add_metrics(const routing::route_table* routes, serving::metric_list& out) {
  out.gauge("marchproxy_ingress_routes", "Ingress routes in force.",
            routes != nullptr ? routes->routes().size() : 0);
  std::map<std::string, const routing::endpoint*> backends;
  if (routes != nullptr)
    for (const auto& route : routes->routes())
      if (route->backends)
        for (const auto& member : route->backends->members())
          backends.emplace(member.endpoint->target().text(), member.endpoint.get());
  const auto now = routing::clock::now();
  for (const auto& [name, backend] : backends)
    out.gauge("marchproxy_ingress_backend_active", "Requests and connections under way.",
              backend->active(), {{"backend", name}});
  for (const auto& [name, backend] : backends)
    out.gauge("marchproxy_ingress_backend_up", "0 while it is left out after failures.",
              backend->usable(now) ? 1 : 0, {{"backend", name}});
  for (const auto& [name, backend] : backends)
    out.counter("marchproxy_ingress_backend_ejections_total",
                "Times that it was left out after failures.", backend->ejections(),
                {{"backend", name}});
}

/// @return null without TLS_CERT_DIR
result<std::shared_ptr<const tls::acceptor>> make_acceptor(const settings& options,
                                                           tls::encryption by) {
  if (options.certificates.empty())
    return nullptr;
  auto store =
    tls::certificate_store::open({options.certificates, options.client_authorities},
                                 [](const std::string& problem) { spdlog::error("{}", problem); });
  if (!store)
    return tl::unexpected(store.error());
  return tls::acceptor::create(std::move(*store), by);
}

} // namespace

result<void> run(const settings& options, const std::function<void()>& wait_for_stop) {
  // Before the rights are given up, as the kernel loads its module for those who have them.
  const auto by = options.kernel_tls && tls::kernel_tls::is_offered()
                    ? tls::encryption::kernel_may_too
                    : tls::encryption::library;
  auto may = serving::rights::with_netd({.low_ports = true});
  privileges::syscall_filter filter;
  filter.io_uring = options.io != relay::io_choice::epoll;
  if (auto given_up = may.give_up(0, filter); !given_up)
    return fail(given_up.error().code, "privileges: " + given_up.error().message);
  auto acceptor = make_acceptor(options, by);
  if (!acceptor)
    return fail(acceptor.error().code, "TLS: " + acceptor.error().message);
  auto connector = tls::connector::create(options.upstream_authorities, by);
  if (!connector)
    return fail(connector.error().code, "TLS_UPSTREAM_CA_FILE: " + connector.error().message);
  routing::endpoints backends;
  serving::blueprint plan;
  plan.component = "ingress";
  plan.may = &may;
  plan.kind = bus_schemas::enroll_request::kind_value::ingress;
  plan.relay = serving::relay_settings_of(options);
  plan.relay.ingress = true;
  plan.relay.acceptor = *acceptor;
  plan.relay.connector = *connector;
  plan.relay.connect_timeout = connect_timeout;
  plan.relay.max_idle_upstreams = idle_upstreams;
  plan.backends = &backends;
  plan.attach = []() -> result<proxy::tier_choice> {
    return proxy::tier_choice{std::string{relay::tier_name}, {}};
  };
  plan.addresses = [](std::uint16_t) { return std::vector<std::string>{}; };
  plan.extras = [tls = *acceptor, by](const serving::relay_tier& sockets) {
    serving::admin_extras out;
    out.metrics = [&sockets, tls](serving::metric_list& metrics) {
      const auto routes = sockets.routes();
      add_metrics(routes.get(), metrics);
      if (tls)
        add_certificate_metrics(*tls->certificates().current(), metrics);
    };
    if (tls)
      out.health = [tls, by](nlohmann::json& answer) {
        add_certificate_health(*tls->certificates().current(), answer);
        answer["tls"]["kernel"] = by == tls::encryption::kernel_may_too;
      };
    return out;
  };
  return serving::run(options, plan, wait_for_stop);
}

} // namespace marchproxy::ingress

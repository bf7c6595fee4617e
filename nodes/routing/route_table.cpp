// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/routing/route_table.hpp"

#include <algorithm>
#include <utility>

namespace marchproxy::routing {

namespace {

const model::service* service_of(const model::ruleset& rules, service_id id) {
  const auto found =
    std::lower_bound(rules.services.begin(), rules.services.end(), id,
                     [](const model::service& s, service_id wanted) { return s.id < wanted; });
  return found != rules.services.end() && found->id == id ? &*found : nullptr;
}

std::optional<wire::host_port> target_of(const model::service& service,
                                         const model::ingress_backend& backend) {
  if (!model::is_single_host(service.address))
    return std::nullopt;
  const auto port = backend.port != 0 ? backend.port : model::only_port(service.ports).value_or(0);
  wire::host_port out{{}, port};
  if (const auto* prefix = std::get_if<ip_prefix>(&service.address))
    out.host = wire::host{prefix->base};
  else if (auto name = wire::host::parse(std::get<model::dns_name>(service.address).name))
    out.host = *name;
  if (out.host.empty() || port == 0)
    return std::nullopt;
  return out;
}

tl::unexpected<error> damaged(const model::ingress_route& route, const char* why) {
  return fail(errc::corrupt, "ingress route \"" + route.name + "\" " + why);
}

bool holds(const model::header_condition& condition, const wire::field_list& fields) noexcept {
  using enum model::header_test;
  const std::string_view text = condition.text;
  const auto met = std::any_of(fields.begin(), fields.end(), [&](const wire::field& f) {
    return wire::iequals(f.name, condition.name)
           && (condition.test == value    ? f.value == text
               : condition.test == prefix ? f.value.substr(0, text.size()) == text
                                          : true);
  });
  return met != (condition.test == absent);
}

bool all_hold(const std::vector<model::header_condition>& all, const wire::field_list& fields) {
  return std::all_of(all.begin(), all.end(), [&](const model::header_condition& one) -> bool {
    return holds(one, fields);
  });
}

/// The first from @p route on whose conditions hold.
const compiled_route* that_holds(const compiled_route* route, const wire::field_list& fields) {
  while (route != nullptr && !all_hold(route->definition.headers, fields))
    route = route->next;
  return route;
}

/// Whether @p a is asked before @p b.
bool is_before(const model::ingress_route& a, const model::ingress_route& b) noexcept {
  return a.headers.size() != b.headers.size() ? a.headers.size() > b.headers.size() : a.id < b.id;
}

/// Puts @p route among those of its host and path. @return false when another is just as specific
bool join(compiled_route*& first, compiled_route& route) noexcept {
  for (const compiled_route* one = first; one != nullptr; one = one->next)
    if (one->definition.headers == route.definition.headers)
      return false;
  if (first == nullptr || is_before(route.definition, first->definition)) {
    route.next = std::exchange(first, &route);
    return true;
  }
  auto* at = first;
  while (at->next != nullptr && is_before(at->next->definition, route.definition))
    at = at->next;
  route.next = std::exchange(at->next, &route);
  return true;
}

} // namespace

const compiled_route* route_table::path_table::find(std::string_view path,
                                                    const wire::field_list& fields) const {
  const auto look = [&](const by_text<compiled_route*>& in) -> const compiled_route* {
    const auto found = in.find(path);
    return found == in.end() ? nullptr : that_holds(found->second, fields);
  };
  if (const auto* found = look(exact))
    return found;
  if (prefixes.empty())
    return nullptr;
  // The path itself, then what is left of it before its last `/`, and so on down to the root.
  while (!path.empty()) {
    if (const auto* found = look(prefixes))
      return found;
    path = path.substr(0, path.rfind('/'));
  }
  path = "/";
  return look(prefixes);
}

const compiled_route* route_table::find(std::uint16_t at_port,
                                        const wire::host& host,
                                        std::string_view path,
                                        const wire::field_list& fields) const {
  const auto at = http_.find(at_port);
  if (at == http_.end())
    return nullptr;
  const auto& hosts = at->second;
  const auto look = [&](const by_text<path_table>& in,
                        std::string_view name) -> const compiled_route* {
    const auto found = in.find(name);
    return found == in.end() ? nullptr : found->second.find(path, fields);
  };
  if (const auto& address = host.address()) {
    if (!hosts.exact.empty())
      if (const auto* found = look(hosts.exact, to_string(*address)))
        return found;
    return hosts.any.find(path, fields);
  }
  auto name = host.name();
  if (const auto* found = look(hosts.exact, name))
    return found;
  for (auto dot = name.find('.'); dot != std::string_view::npos && !hosts.wildcards.empty();
       dot = name.find('.')) {
    name.remove_prefix(dot + 1);
    if (const auto* found = look(hosts.wildcards, name))
      return found;
  }
  return hosts.any.find(path, fields);
}

const compiled_route* route_table::tcp(std::uint16_t at_port) const {
  const auto found = tcp_.find(at_port);
  return found == tcp_.end() ? nullptr : found->second;
}

result<std::shared_ptr<const route_table>> route_table::build(const model::ruleset& rules,
                                                              endpoints& known) {
  std::shared_ptr<route_table> out{new route_table};
  for (const auto& route : rules.ingress_routes)
    if (route.active)
      if (auto added = out->add(rules, route, known); !added)
        return tl::unexpected(added.error());
  return out;
}

result<void>
route_table::add(const model::ruleset& rules, const model::ingress_route& route, endpoints& known) {
  auto made = std::make_unique<compiled_route>();
  made->definition = route;
  std::vector<balancer::member> members;
  for (const auto& backend : route.backends) {
    const auto* service = service_of(rules, backend.service);
    const auto target = service != nullptr ? target_of(*service, backend) : std::nullopt;
    if (!target)
      return damaged(route, "leads to a service that is not at one address and port");
    if (!service->active)
      continue;
    const auto http = route.protocol == model::route_protocol::http;
    // A TCP route that does not end its clients' TLS passes theirs on.
    const auto secured =
      service->tls_enabled && (http || route.tls)
        ? std::make_shared<const backend_tls>(backend_tls{service->name, service->tls_verify, http})
        : nullptr;
    members.push_back({known.at(backend.service, *target), backend.weight, backend.draining,
                       service->proxy_protocol, secured});
    if (service->health.enabled)
      check(members.back(), *service, http);
  }
  if (members.size() > balancer::most_members)
    return damaged(route, "has more than 64 backends");
  if (!members.empty()) {
    made->backends = std::make_unique<balancer>(
      std::move(members), route.balancing,
      balancing_terms{.most_under_way = route.max_requests, .slow_start = route.slow_start});
    made->retries = std::make_unique<retry_budget>(route.retry_budget);
  }
  auto placed = place(*made).and_then([&] { return open(route); });
  routes_.push_back(std::move(made));
  return placed;
}

const route_table::port* route_table::at(std::uint16_t number) const noexcept {
  const auto found =
    std::lower_bound(ports_.begin(), ports_.end(), number,
                     [](const port& one, std::uint16_t wanted) { return one.number < wanted; });
  return found != ports_.end() && found->number == number ? &*found : nullptr;
}

result<void> route_table::open(const model::ingress_route& route) {
  auto found =
    std::lower_bound(ports_.begin(), ports_.end(), route.listen_port,
                     [](const port& one, std::uint16_t wanted) { return one.number < wanted; });
  if (found == ports_.end() || found->number != route.listen_port)
    found = ports_.insert(found, {route.listen_port, route.protocol, route.tls.has_value(), false});
  if (found->tls != route.tls.has_value())
    return damaged(route, "does not agree with its port on tls");
  found->asks_who = found->asks_who || (route.tls && route.tls->client_certificates);
  return {};
}

void route_table::check(const balancer::member& backend, const model::service& service, bool http) {
  const auto tls = backend.tls ? std::optional{*backend.tls} : std::nullopt;
  const auto found = std::find_if(checked_.begin(), checked_.end(), [&](const auto& one) {
    return one.endpoint == backend.endpoint;
  });
  if (found == checked_.end()) {
    checked_.push_back({backend.endpoint, service.health, http, service.proxy_protocol, tls});
    return;
  }
  found->http = found->http || http;
  if (!found->tls || http)
    found->tls = tls;
}

result<void> route_table::place(compiled_route& route) {
  const auto& d = route.definition;
  const auto is_tcp = d.protocol == model::route_protocol::tcp;
  if (tcp_.contains(d.listen_port) || (is_tcp && http_.contains(d.listen_port)))
    return damaged(d, "wants a port that another has");
  if (is_tcp) {
    tcp_.emplace(d.listen_port, &route);
    return {};
  }
  auto& hosts = http_[d.listen_port];
  const std::string_view host = d.host;
  auto& paths = host.empty()                ? hosts.any
                : host.substr(0, 2) == "*." ? hosts.wildcards[std::string{host.substr(2)}]
                                            : hosts.exact[d.host];
  auto& at = d.match == model::path_match::exact ? paths.exact : paths.prefixes;
  if (!join(at[d.path], route))
    return damaged(d, "has the host and path of another, and the same conditions");
  return {};
}

} // namespace marchproxy::routing

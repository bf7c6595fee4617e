// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/model.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace marchproxy::model {

namespace {

using nlohmann::json;

json protocol_names(protocol_set protocols) {
  auto out = json::array();
  for (const auto which : all_protocols)
    if (has(protocols, which))
      out.push_back(to_string(which));
  return out;
}

json selector_json(const selector& which) {
  if (const auto* id = std::get_if<service_id>(&which))
    return {{"type", "service"}, {"id", id->value}};
  if (const auto* collection = std::get_if<select_collection>(&which))
    return {{"type", "collection"}, {"name", collection->name}};
  return {{"type", "all"}};
}

json selectors_json(const std::vector<selector>& all) {
  auto out = json::array();
  for (const auto& one : all)
    out.push_back(selector_json(one));
  return out;
}

json rate_json(const std::optional<rate_limit>& limit) {
  if (!limit)
    return nullptr;
  return {{"rate", limit->rate}, {"interval", limit->interval}, {"burst", limit->burst}};
}

json limits_json(const std::optional<limits>& value, std::string_view together) {
  return value ? to_json(*value, together) : json(nullptr);
}

json tls_json(const route_tls& value) {
  const auto& clients = value.client_certificates;
  return {{"client_certificates", clients ? json{{"common_names", clients->common_names},
                                                 {"dns_names", clients->dns_names},
                                                 {"uris", clients->uris}}
                                          : json(nullptr)}};
}

json changes_json(const std::vector<header_change>& all) {
  auto out = json::object();
  for (const auto& one : all)
    out[one.name] = one.value ? json(*one.value) : json(nullptr);
  return out;
}

json conditions_json(const std::vector<header_condition>& all) {
  auto out = json::array();
  for (const auto& one : all) {
    const auto has_text = one.test == header_test::value || one.test == header_test::prefix;
    out.push_back({{"name", one.name},
                   {std::string{to_string(one.test)}, has_text ? json(one.text) : json(true)}});
  }
  return out;
}

/// Older name, and the name it has today.
constexpr std::array<std::pair<const char*, const char*>, 15> older_names{{
  {"ip_fqdn", "address"},
  {"port", "ports"},
  {"protocol", "protocols"},
  {"auth", "auth_type"},
  {"is_active", "active"},
  {"source_services", "sources"},
  {"dest_services", "destinations"},
  {"comments", "comment"},
  {"health_check_enabled", "enabled"},
  {"health_check_path", "path"},
  {"health_check_interval", "interval"},
  {"source_port", "listen_port"},
  {"dest_service_id", "backends"},
  {"dest_service", "backends"},
  {"enabled", "active"},
}};

} // namespace

json to_json(const cluster& value) {
  return {{"id", value.id.value},
          {"name", value.name},
          {"description", value.description},
          {"max_proxies", value.max_proxies},
          {"observe", value.observe}};
}

json to_json(const service& value) {
  return {{"id", value.id.value},
          {"cluster_id", value.cluster.value},
          {"name", value.name},
          {"description", value.description},
          {"address", to_string(value.address)},
          {"ports", value.ports.text()},
          {"protocols", protocol_names(value.protocols)},
          {"collection", value.collection},
          {"auth_type", to_string(value.auth)},
          {"tls_enabled", value.tls_enabled},
          {"tls_verify", value.tls_verify},
          {"health_check",
           {{"enabled", value.health.enabled},
            {"path", value.health.path},
            {"interval", value.health.interval.count()},
            {"healthy_threshold", value.health.healthy_threshold},
            {"unhealthy_threshold", value.health.unhealthy_threshold}}},
          {"listen_port", value.listen_port ? json(*value.listen_port) : json(nullptr)},
          {"active", value.active},
          {"limits", limits_json(value.limits, "service")},
          {"proxy_protocol", to_string(value.proxy_protocol)}};
}

json to_json(const mapping& value) {
  return {{"id", value.id.value},
          {"cluster_id", value.cluster.value},
          {"name", value.name},
          {"sources", selectors_json(value.sources)},
          {"destinations", selectors_json(value.destinations)},
          {"protocols", protocol_names(value.protocols)},
          {"ports", value.ports.text()},
          {"auth_required", value.auth_required},
          {"priority", value.priority},
          {"comment", value.comment},
          {"active", value.active},
          {"action", to_string(value.action)},
          {"allow_private", value.allow_private},
          {"limits", limits_json(value.limits, "mapping")},
          {"observe", value.observe},
          {"when_revoked", to_string(value.when_revoked)},
          {"drain_seconds", value.drain_seconds}};
}

json to_json(const limits& value, std::string_view together) {
  return {{"per", value.per == limit_scope::source ? "source" : together},
          {"connections", rate_json(value.connections)},
          {"max_connections", value.max_connections ? json(*value.max_connections) : json(nullptr)},
          {"requests", rate_json(value.requests)},
          {"packets", rate_json(value.packets)},
          {"bytes", rate_json(value.bytes)}};
}

json to_json(const ingress_route& value) {
  auto backends = json::array();
  for (const auto& one : value.backends)
    backends.push_back({{"service", one.service.value},
                        {"port", one.port != 0 ? json(one.port) : json(nullptr)},
                        {"weight", one.weight},
                        {"draining", one.draining}});
  auto redirect = value.redirect ? json{{"status", value.redirect->status},
                                        {"location", value.redirect->location}}
                                 : json(nullptr);
  return {{"id", value.id.value},
          {"cluster_id", value.cluster.value},
          {"name", value.name},
          {"description", value.description},
          {"protocol", to_string(value.protocol)},
          {"listen_port", value.listen_port},
          {"host", value.host},
          {"path", value.path},
          {"path_match", to_string(value.match)},
          {"headers", conditions_json(value.headers)},
          {"backends", std::move(backends)},
          {"balancing", to_string(value.balancing)},
          {"strip_prefix", value.strip_prefix},
          {"add_prefix", value.add_prefix},
          {"request_headers", changes_json(value.request_headers)},
          {"response_headers", changes_json(value.response_headers)},
          {"redirect", std::move(redirect)},
          {"tls", value.tls ? tls_json(*value.tls) : json(nullptr)},
          {"retries", value.retries},
          {"retry_budget", value.retry_budget},
          {"slow_start", value.slow_start.count()},
          {"max_requests", value.max_requests != 0 ? json(value.max_requests) : json(nullptr)},
          {"active", value.active}};
}

json to_json(const credential& value) {
  return {{"id", value.id},
          {"service_id", value.service.value},
          {"kind", to_string(value.kind)},
          {"algorithm", value.algorithm},
          {"expires_at", value.expires_at ? json(*value.expires_at) : json(nullptr)}};
}

json merge_patch(json current, const json& patch) {
  if (current.is_object() && patch.is_object()) {
    for (const auto& [older, today] : older_names)
      if (patch.contains(older)) {
        current.erase(today);
        if (const auto health = current.find("health_check");
            health != current.end() && health->is_object())
          health->erase(today);
      }
    // `description` was the earlier mapping's second comment; services have one of their own.
    if (patch.contains("description") && !current.contains("description"))
      current.erase("comment");
  }
  current.merge_patch(patch);
  return current;
}

} // namespace marchproxy::model

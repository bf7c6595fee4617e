// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/memory_backend.test.hpp"

#include <algorithm>

namespace marchproxy::api {

namespace {

const json cluster_json = {
  {"id", 1}, {"name", "eu"}, {"description", ""}, {"max_proxies", 0}, {"observe", false}};
const json mapping_json = {{"id", 9},
                           {"cluster_id", 1},
                           {"name", ""},
                           {"sources", {{{"type", "service"}, {"id", 1}}}},
                           {"destinations", {{{"type", "all"}}}},
                           {"protocols", {"tcp"}},
                           {"ports", "443"},
                           {"auth_required", false},
                           {"priority", 100},
                           {"comment", ""},
                           {"active", true},
                           {"action", "allow"},
                           {"allow_private", false},
                           {"limits",
                            {{"per", "source"},
                             {"connections", nullptr},
                             {"max_connections", 5},
                             {"requests", {{"rate", 10}, {"interval", 1}, {"burst", 20}}},
                             {"packets", nullptr},
                             {"bytes", nullptr}}},
                           {"observe", false},
                           {"when_revoked", "cut"},
                           {"drain_seconds", 30}};
const json ingress_route_json = {{"id", 4},
                                 {"cluster_id", 1},
                                 {"name", "shop"},
                                 {"description", ""},
                                 {"protocol", "http"},
                                 {"listen_port", 80},
                                 {"host", "shop.example"},
                                 {"path", "/"},
                                 {"path_match", "prefix"},
                                 {"headers", {{{"name", "cookie"}, {"prefix", "beta="}}}},
                                 {"backends", {{{"service", 1}, {"port", nullptr}, {"weight", 1}}}},
                                 {"balancing", "round_robin"},
                                 {"strip_prefix", false},
                                 {"add_prefix", ""},
                                 {"request_headers", json::object()},
                                 {"response_headers", {{"server", nullptr}}},
                                 {"redirect", nullptr},
                                 {"tls", nullptr},
                                 {"retries", 1},
                                 {"retry_budget", 20},
                                 {"slow_start", 0},
                                 {"max_requests", nullptr},
                                 {"active", true}};
const json credential_json = {
  {"id", "c1"}, {"service_id", 1}, {"kind", "base64"}, {"algorithm", ""}, {"expires_at", nullptr}};
const json proxy_json = {{"id", "p1"}, {"name", "edge"}, {"kind", "egress"}, {"state", "online"}};
const json user_json = {{"id", 3}, {"username", "bob"}, {"active", true}, {"roles", json::array()}};
const json key_json = {{"id", "k1"}, {"name", "ci"}, {"scope", "read"}, {"expires_at", nullptr}};

json service_json(std::uint64_t id, const std::string& name) {
  return {{"id", id},
          {"cluster_id", 1},
          {"name", name},
          {"description", ""},
          {"address", "10.0.0.1"},
          {"ports", ""},
          {"protocols", json::array()},
          {"collection", ""},
          {"auth_type", "none"},
          {"tls_enabled", false},
          {"tls_verify", true},
          {"health_check", {{"enabled", false}}},
          {"listen_port", nullptr},
          {"active", true},
          {"limits", nullptr},
          {"proxy_protocol", "v2"}};
}

json with(json base, const char* field, json value) {
  base[field] = std::move(value);
  return base;
}

/// The fake's own idea of validation: enough to carry a field error through the API.
result<std::string> name_in(const json& body, const char* field) {
  if (!body.contains(field))
    return fail_field(field, "is required");
  if (!body.at(field).is_string())
    return fail_field(field, "must be a string");
  return body.at(field).get<std::string>();
}

json audit_json(std::uint64_t sequence) {
  return {{"ledger", "installation"},
          {"sequence", sequence},
          {"time", "2026-11-24T01:02:03Z"},
          {"actor", {{"kind", "user"}, {"id", "1"}, {"name", "alice"}}},
          {"source", "192.0.2.1"},
          {"action", "login"},
          {"resource", {{"type", "user"}, {"id", "1"}, {"name", "alice"}}},
          {"revision", nullptr},
          {"outcome", "success"},
          {"before", nullptr},
          {"after", nullptr},
          {"previous_hash", "00"},
          {"hash", "11"}};
}

constexpr std::uint64_t audit_records = 1200;

} // namespace

memory_backend::memory_backend() {
  services[1] = {service_json(1, "web"), 4};
}

result<change> memory_backend::changed(row resource, const caller& by, const change_options& how) {
  const std::lock_guard lock(mutex_);
  seen_how = how;
  seen_caller = by;
  return change{std::move(resource), next_rollout};
}

result<session>
memory_backend::login(const std::string& user, const std::string& password, const std::string&) {
  if (user != "alice" || password != "right")
    return fail(errc::unauthenticated, "wrong user name or password");
  const std::lock_guard lock(mutex_);
  const auto token = "session-" + std::to_string(sessions_.size() + 1);
  const auto who = *find_api_key("mpa_admin");
  return sessions_[token] = {token,
                             "csrf-" + token,
                             {"user", "1", "alice", who.user, who.grants},
                             std::chrono::seconds(3600)};
}

result<void> memory_backend::logout(const caller&, const std::string& token) {
  const std::lock_guard lock(mutex_);
  sessions_.erase(token);
  return {};
}

result<session> memory_backend::find_session(const std::string& token) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(token);
  if (found == sessions_.end())
    return fail(errc::unauthenticated, "the session has ended");
  return found->second;
}

result<principal> memory_backend::find_api_key(const std::string& key) {
  principal out{.kind = "api_key", .id = "k1", .name = key, .user = user_id{1}, .grants = {}};
  if (key == "mpa_admin")
    out.grants = {{role::administrator, {}}};
  else if (key == "mpa_operator")
    out.grants = {{role::administrator, cluster_id{1}}};
  else if (key == "mpa_owner" || key == "mpa_reader")
    out.grants = {{role::service_owner, cluster_id{1}}};
  else if (key != "mpa_nobody")
    return fail(errc::unauthenticated, "no such API key");
  out.read_only = key == "mpa_reader";
  return out;
}

result<cluster_ref> memory_backend::find_cluster_key(const std::string& key) {
  if (key == "key-eu")
    return cluster_ref{cluster_id{1}, "eu"};
  if (key == "key-us")
    return cluster_ref{cluster_id{2}, "us"};
  return fail(errc::unauthenticated, "no cluster has this key");
}

result<cluster_ref> memory_backend::find_cluster(const std::string& text) {
  if (text == "1" || text == "eu")
    return cluster_ref{cluster_id{1}, "eu"};
  if (text == "2" || text == "us")
    return cluster_ref{cluster_id{2}, "us"};
  return fail(errc::not_found, "no cluster '" + text + "'");
}

result<json> memory_backend::create_bus_user(const caller&, cluster_id, const json& body) {
  return json{{"role", body.value("role", "")},
              {"name", body.value("name", "")},
              {"user", "U"},
              {"jwt", "j"},
              {"seed", "s"},
              {"creds", "c"},
              {"expires_at", "2027-01-01T00:00:00.000000Z"}};
}

result<page> memory_backend::list_clusters(const caller&, const query& q) {
  seen_query = q;
  return page{{cluster_json}, ""};
}
result<row> memory_backend::get_cluster(const caller&, cluster_id) {
  return row{cluster_json, 2};
}
result<change>
memory_backend::create_cluster(const caller& by, const json& body, const change_options& how) {
  const auto name = name_in(body, "name");
  if (!name)
    return tl::unexpected(name.error());
  if (*name == "eu")
    return fail(errc::conflict, "a cluster 'eu' is there already");
  return changed({with(cluster_json, "api_key", "mpc_once"), 1}, by, how);
}
result<change> memory_backend::update_cluster(
  const caller& by, cluster_id, const json&, bool, const change_options& how) {
  return changed({cluster_json, 3}, by, how);
}
result<change>
memory_backend::delete_cluster(const caller& by, cluster_id, const change_options& how) {
  return changed({nullptr, 0}, by, how);
}
result<json>
memory_backend::rotate_cluster_key(const caller&, cluster_id, std::chrono::seconds overlap) {
  seen_overlap = overlap;
  return json{{"id", "2"}, {"api_key", "mpc_once"}, {"former_valid_until", nullptr}};
}
result<void> memory_backend::delete_cluster_key(const caller&, cluster_id, const std::string& id) {
  if (id != "1")
    return fail(errc::not_found, "no key '" + id + "'");
  return {};
}

result<page> memory_backend::list_services(const caller&, cluster_id, const query& q) {
  const std::lock_guard lock(mutex_);
  seen_query = q;
  page out;
  for (const auto& [id, one] : services) {
    if (!q.cursor.empty() && id <= std::stoull(q.cursor))
      continue;
    if (out.items.size() == q.limit) {
      out.next_cursor = std::to_string(id - 1);
      break;
    }
    out.items.push_back(one.data);
  }
  return out;
}
result<row> memory_backend::get_service(const caller&, cluster_id, service_id id) {
  const std::lock_guard lock(mutex_);
  const auto found = services.find(id.value);
  if (found == services.end())
    return fail(errc::not_found, "no service " + std::to_string(id.value));
  return found->second;
}
result<change> memory_backend::create_service(const caller& by,
                                              cluster_id,
                                              const json& body,
                                              const change_options& how) {
  const auto name = name_in(body, "name");
  if (!name)
    return tl::unexpected(name.error());
  row made;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, one] : services)
      if (one.data["name"] == *name)
        return fail(errc::conflict, "a service '" + *name + "' is there already");
    made = {service_json(++last_service_, *name), 1};
    services[last_service_] = made;
  }
  return changed(made, by, how);
}
result<change> memory_backend::update_service(const caller& by,
                                              cluster_id cluster,
                                              service_id id,
                                              const json& body,
                                              bool,
                                              const change_options& how) {
  auto there = get_service(by, cluster, id);
  if (!there)
    return tl::unexpected(there.error());
  if (how.if_match && *how.if_match != there->version)
    return fail(errc::precondition_failed, "the service was changed meanwhile");
  for (const auto& [field, value] : body.items())
    if (!there->data.contains(field))
      return fail_field(field, "is not a field of a service");
  there->data.merge_patch(body);
  ++there->version;
  {
    const std::lock_guard lock(mutex_);
    services[id.value] = *there;
  }
  return changed(*there, by, how);
}
result<change> memory_backend::delete_service(const caller& by,
                                              cluster_id cluster,
                                              service_id id,
                                              const change_options& how) {
  if (auto there = get_service(by, cluster, id); !there)
    return tl::unexpected(there.error());
  if (id.value == 1)
    return fail(errc::conflict, "mapping 9 names the service");
  {
    const std::lock_guard lock(mutex_);
    services.erase(id.value);
  }
  return changed({nullptr, 0}, by, how);
}
result<page> memory_backend::list_credentials(const caller&, cluster_id, service_id, const query&) {
  return page{{credential_json}, ""};
}
result<change> memory_backend::add_credential(
  const caller& by, cluster_id, service_id, const json&, const change_options& how) {
  return changed({with(credential_json, "token", "once"), 0}, by, how);
}
result<change> memory_backend::delete_credential(
  const caller& by, cluster_id, service_id, const std::string& id, const change_options& how) {
  if (id != "c1")
    return fail(errc::not_found, "no credential '" + id + "'");
  return changed({nullptr, 0}, by, how);
}

result<page> memory_backend::list_mappings(const caller&, cluster_id, const query&) {
  return page{{mapping_json}, ""};
}
result<row> memory_backend::get_mapping(const caller&, cluster_id, mapping_id id) {
  if (id.value != 9)
    return fail(errc::not_found, "no mapping " + std::to_string(id.value));
  return row{mapping_json, 5};
}
result<change> memory_backend::create_mapping(const caller& by,
                                              cluster_id,
                                              const json& body,
                                              const change_options& how) {
  if (!body.contains("sources"))
    return fail_field("sources", "is required");
  return changed({mapping_json, 1}, by, how);
}
result<change> memory_backend::update_mapping(
  const caller& by, cluster_id, mapping_id, const json&, bool, const change_options& how) {
  return changed({mapping_json, 6}, by, how);
}
result<change> memory_backend::delete_mapping(const caller& by,
                                              cluster_id,
                                              mapping_id,
                                              const change_options& how) {
  return changed({nullptr, 0}, by, how);
}

result<page> memory_backend::list_ingress_routes(const caller&, cluster_id, const query&) {
  return page{{ingress_route_json}, ""};
}
result<row>
memory_backend::get_ingress_route(const caller&, cluster_id, model::ingress_route_id id) {
  if (id.value != 4)
    return fail(errc::not_found, "no ingress route " + std::to_string(id.value));
  return row{ingress_route_json, 5};
}
result<change> memory_backend::create_ingress_route(const caller& by,
                                                    cluster_id,
                                                    const json&,
                                                    const change_options& how) {
  return changed({ingress_route_json, 1}, by, how);
}
result<change> memory_backend::update_ingress_route(const caller& by,
                                                    cluster_id,
                                                    model::ingress_route_id,
                                                    const json&,
                                                    bool,
                                                    const change_options& how) {
  return changed({ingress_route_json, 6}, by, how);
}
result<change> memory_backend::delete_ingress_route(const caller& by,
                                                    cluster_id,
                                                    model::ingress_route_id,
                                                    const change_options& how) {
  return changed({}, by, how);
}

result<page> memory_backend::list_proxies(const caller&, cluster_id, const query&) {
  return page{{proxy_json}, ""};
}
result<row> memory_backend::get_proxy(const caller&, cluster_id, const std::string& id) {
  if (id != "p1")
    return fail(errc::not_found, "no proxy '" + id + "'");
  return row{proxy_json, 0};
}
result<void> memory_backend::revoke_proxy(const caller&, cluster_id, const std::string& id) {
  if (id != "p1")
    return fail(errc::not_found, "no proxy '" + id + "'");
  return {};
}
result<page> memory_backend::list_revisions(const caller&, cluster_id, const query&) {
  return page{{json{{"number", 7}, {"state", "in_force"}}}, ""};
}
result<row> memory_backend::get_revision(const caller&, cluster_id, revision number) {
  return row{json{{"number", number.value}, {"state", "in_force"}}, 0};
}
result<change> memory_backend::restore_revision(const caller& by,
                                                cluster_id,
                                                revision,
                                                const change_options& how) {
  return changed({json{{"number", 8}, {"state", "pending"}}, 0}, by, how);
}
result<json> memory_backend::explain(const caller&, cluster_id, const json& body) {
  if (!body.contains("source"))
    return fail_field("source", "is required");
  return json{{"verdict", "deny"}};
}
result<page> memory_backend::list_audit(const caller&,
                                        const std::string&,
                                        std::uint64_t after,
                                        std::size_t limit) {
  page out;
  for (auto n = after + 1; n <= audit_records && out.items.size() < limit; ++n)
    out.items.push_back(audit_json(n));
  return out;
}

result<page> memory_backend::list_users(const caller&, const query&) {
  return page{{user_json}, ""};
}
result<row> memory_backend::create_user(const caller&, const json&) {
  return row{user_json, 1};
}
result<row> memory_backend::set_roles(const caller&, user_id, const json&) {
  return row{user_json, 2};
}
result<void> memory_backend::delete_user(const caller&, user_id) {
  return {};
}
result<page> memory_backend::list_api_keys(const caller&, const query&) {
  return page{{key_json}, ""};
}
result<row> memory_backend::create_api_key(const caller&, const json&) {
  return row{with(key_json, "api_key", "mpa_once"), 0};
}
result<void> memory_backend::delete_api_key(const caller&, const std::string&) {
  return {};
}

result<json>
memory_backend::register_proxy(const cluster_ref& cluster, const json&, const std::string&) {
  if (!seats_left)
    return fail(errc::limit_reached, "all seats are taken");
  return json{{"cluster", cluster.name}};
}
result<json> memory_backend::heartbeat(const cluster_ref&, const json&, const std::string&) {
  return json{{"status", "ok"}};
}
result<json> memory_backend::proxy_configuration(const cluster_ref& cluster) {
  return json{{"cluster", cluster.name}, {"services", json::array()}};
}
result<json> memory_backend::license_status() {
  return json{{"edition", "development"}};
}
result<json> memory_backend::validate_license(const json&) {
  return json{{"valid", false}};
}

std::vector<dependency_health> memory_backend::health() {
  return {{"storage", true, ""}, {"bus", healthy, healthy ? "" : "does not answer"}};
}
result<json> memory_backend::status(const caller&) {
  return json{{"clusters", 2}};
}

} // namespace marchproxy::api

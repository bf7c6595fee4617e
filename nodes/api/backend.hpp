// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/strong_id.hpp"
#include "actors/model/ingress_route.hpp"
#include "nodes/api/access.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace marchproxy::api {

using nlohmann::json;

/// Who asks, for the checks inside an operation and for the audit record.
struct caller {
  principal who;
  std::string source; ///< address of the client
  std::string request_id;
};

/// One resource in canonical form with its row version, which is its ETag. 0: it has none.
struct row {
  json data;
  std::uint64_t version = 0;
};

/// A part of a list.
struct page {
  std::vector<json> items;
  std::string next_cursor; ///< empty: this was the last
};

struct query {
  std::size_t limit = 100; ///< 1..500
  std::string cursor;      ///< as a page gave it; empty: from the start
  std::vector<std::pair<std::string, std::string>>
    filters; ///< only names that the route's table lists
};

/// How a change is to be made.
struct change_options {
  std::chrono::seconds wait{5}; ///< how long the answer may wait for the rollout
  std::optional<std::uint64_t>
    if_match;                  ///< row version that must still hold; else precondition_failed
  std::string idempotency_key; ///< for creates: the same key of the same caller makes one resource
};

enum class rollout_state : std::uint8_t { in_force, pending, aborted };

/// What became of the revision that a change made.
struct rollout_outcome {
  std::uint64_t revision = 0;
  rollout_state state = rollout_state::pending;
  std::string reason;         ///< why it is not in force
  std::uint32_t expected = 0; ///< proxies that have to apply it
  std::uint32_t applied = 0;  ///< proxies that did
};

/// A change that was made durable. Removals have null for data.
struct change {
  row resource;
  std::optional<rollout_outcome> rollout; ///< none: the change concerns no proxy
};

struct session {
  std::string token;      ///< goes into the cookie; 128 random bits or more
  std::string csrf_token; ///< must come back in X-CSRF-Token with each change
  principal who;
  std::chrono::seconds lifetime{0};
};

struct dependency_health {
  std::string name;
  bool ok = false;
  std::string detail;
};

/// A cluster that a path names by id or by name.
struct cluster_ref {
  cluster_id id;
  std::string name;
};

/// What the manager can do, one method per operation of the API. Every call may block and may come
/// from several threads at once. The API has authenticated the caller and checked the route's
/// permission before; the backend validates the input (actors/model), and does model, audit and
/// outbox in one transaction. Errors are the API's answers: their fields name what is wrong in the
/// body.
class backend {
public:
  backend() = default;
  backend(const backend&) = delete;
  backend& operator=(const backend&) = delete;
  backend(backend&&) = delete;
  backend& operator=(backend&&) = delete;
  virtual ~backend() = default;

  // Who is it. @errors unauthenticated; limit_reached while an account is locked
  [[nodiscard]] virtual result<session>
  login(const std::string& username, const std::string& password, const std::string& source) = 0;
  [[nodiscard]] virtual result<void> logout(const caller& by, const std::string& token) = 0;
  [[nodiscard]] virtual result<session> find_session(const std::string& token) = 0;
  [[nodiscard]] virtual result<principal> find_api_key(const std::string& key) = 0;
  /// The cluster whose key, or whose former key during the overlap, @p key is.
  [[nodiscard]] virtual result<cluster_ref> find_cluster_key(const std::string& key) = 0;
  /// @p text: an id or a name. @errors not_found
  [[nodiscard]] virtual result<cluster_ref> find_cluster(const std::string& text) = 0;

  // Clusters. Lists show only what the caller may see.
  [[nodiscard]] virtual result<page> list_clusters(const caller& by, const query& q) = 0;
  [[nodiscard]] virtual result<row> get_cluster(const caller& by, cluster_id cluster) = 0;
  /// The data has the first `api_key`, once.
  [[nodiscard]] virtual result<change>
  create_cluster(const caller& by, const json& body, const change_options& how) = 0;
  /// @p patch true: an RFC 7396 merge into what is there; false: the whole resource.
  [[nodiscard]] virtual result<change> update_cluster(const caller& by,
                                                      cluster_id cluster,
                                                      const json& body,
                                                      bool patch,
                                                      const change_options& how) = 0;
  [[nodiscard]] virtual result<change>
  delete_cluster(const caller& by, cluster_id cluster, const change_options& how) = 0;
  /// Makes a further key and gives every other one @p overlap to live.
  /// @return {"id", "api_key", "former_valid_until"}; the key is never shown again
  [[nodiscard]] virtual result<json>
  rotate_cluster_key(const caller& by, cluster_id cluster, std::chrono::seconds overlap) = 0;
  [[nodiscard]] virtual result<void>
  delete_cluster_key(const caller& by, cluster_id cluster, const std::string& key_id) = 0;

  /// Credentials for the bus itself (BUS-5, BUS-6): a user of role `automation` or `siem` in the
  /// cluster's account.
  /// @p body {"role", "name", "valid_seconds"?}
  /// @return {"role", "name", "user", "jwt", "seed", "creds", "expires_at"}; the seed is never
  /// shown again
  [[nodiscard]] virtual result<json>
  create_bus_user(const caller& by, cluster_id cluster, const json& body) = 0;

  // Services and their credentials.
  [[nodiscard]] virtual result<page>
  list_services(const caller& by, cluster_id cluster, const query& q) = 0;
  [[nodiscard]] virtual result<row>
  get_service(const caller& by, cluster_id cluster, service_id service) = 0;
  [[nodiscard]] virtual result<change> create_service(const caller& by,
                                                      cluster_id cluster,
                                                      const json& body,
                                                      const change_options& how) = 0;
  [[nodiscard]] virtual result<change> update_service(const caller& by,
                                                      cluster_id cluster,
                                                      service_id service,
                                                      const json& body,
                                                      bool patch,
                                                      const change_options& how) = 0;
  [[nodiscard]] virtual result<change> delete_service(const caller& by,
                                                      cluster_id cluster,
                                                      service_id service,
                                                      const change_options& how) = 0;
  [[nodiscard]] virtual result<page>
  list_credentials(const caller& by, cluster_id cluster, service_id service, const query& q) = 0;
  /// When the body has no verifier the backend makes a token and shows it, once, as `token`.
  [[nodiscard]] virtual result<change> add_credential(const caller& by,
                                                      cluster_id cluster,
                                                      service_id service,
                                                      const json& body,
                                                      const change_options& how) = 0;
  [[nodiscard]] virtual result<change> delete_credential(const caller& by,
                                                         cluster_id cluster,
                                                         service_id service,
                                                         const std::string& credential,
                                                         const change_options& how) = 0;

  // Mappings.
  [[nodiscard]] virtual result<page>
  list_mappings(const caller& by, cluster_id cluster, const query& q) = 0;
  [[nodiscard]] virtual result<row>
  get_mapping(const caller& by, cluster_id cluster, mapping_id mapping) = 0;
  [[nodiscard]] virtual result<change> create_mapping(const caller& by,
                                                      cluster_id cluster,
                                                      const json& body,
                                                      const change_options& how) = 0;
  [[nodiscard]] virtual result<change> update_mapping(const caller& by,
                                                      cluster_id cluster,
                                                      mapping_id mapping,
                                                      const json& body,
                                                      bool patch,
                                                      const change_options& how) = 0;
  [[nodiscard]] virtual result<change> delete_mapping(const caller& by,
                                                      cluster_id cluster,
                                                      mapping_id mapping,
                                                      const change_options& how) = 0;

  // Ingress routes.
  [[nodiscard]] virtual result<page>
  list_ingress_routes(const caller& by, cluster_id cluster, const query& q) = 0;
  [[nodiscard]] virtual result<row>
  get_ingress_route(const caller& by, cluster_id cluster, model::ingress_route_id route) = 0;
  [[nodiscard]] virtual result<change> create_ingress_route(const caller& by,
                                                            cluster_id cluster,
                                                            const json& body,
                                                            const change_options& how) = 0;
  [[nodiscard]] virtual result<change> update_ingress_route(const caller& by,
                                                            cluster_id cluster,
                                                            model::ingress_route_id route,
                                                            const json& body,
                                                            bool patch,
                                                            const change_options& how) = 0;
  [[nodiscard]] virtual result<change> delete_ingress_route(const caller& by,
                                                            cluster_id cluster,
                                                            model::ingress_route_id route,
                                                            const change_options& how) = 0;

  // Proxies, by id.
  [[nodiscard]] virtual result<page>
  list_proxies(const caller& by, cluster_id cluster, const query& q) = 0;
  [[nodiscard]] virtual result<row>
  get_proxy(const caller& by, cluster_id cluster, const std::string& proxy) = 0;
  /// Cut off from the bus at once; its seat is free again.
  [[nodiscard]] virtual result<void>
  revoke_proxy(const caller& by, cluster_id cluster, const std::string& proxy) = 0;

  // Revisions.
  [[nodiscard]] virtual result<page>
  list_revisions(const caller& by, cluster_id cluster, const query& q) = 0;
  [[nodiscard]] virtual result<row>
  get_revision(const caller& by, cluster_id cluster, revision number) = 0;
  /// A new revision with the content of an old one.
  [[nodiscard]] virtual result<change> restore_revision(const caller& by,
                                                        cluster_id cluster,
                                                        revision number,
                                                        const change_options& how) = 0;

  /// @p body {"source", "destination" | "url", "port", "protocol", "revision"?}
  [[nodiscard]] virtual result<json>
  explain(const caller& by, cluster_id cluster, const json& body) = 0;

  /// Records after sequence @p after, ascending. @p ledger empty: the installation's.
  [[nodiscard]] virtual result<page> list_audit(const caller& by,
                                                const std::string& ledger,
                                                std::uint64_t after,
                                                std::size_t limit) = 0;

  // Users and API keys.
  [[nodiscard]] virtual result<page> list_users(const caller& by, const query& q) = 0;
  [[nodiscard]] virtual result<row> create_user(const caller& by, const json& body) = 0;
  /// @p body {"roles": [{"role", "cluster"}]}; replaces them.
  [[nodiscard]] virtual result<row> set_roles(const caller& by, user_id user, const json& body) = 0;
  [[nodiscard]] virtual result<void> delete_user(const caller& by, user_id user) = 0;
  [[nodiscard]] virtual result<page> list_api_keys(const caller& by, const query& q) = 0;
  /// @p body {"name", "scope": "read" | "write", "expires_at"?}; the answer has `api_key`, once.
  [[nodiscard]] virtual result<row> create_api_key(const caller& by, const json& body) = 0;
  [[nodiscard]] virtual result<void> delete_api_key(const caller& by, const std::string& id) = 0;

  // The contract of the earlier proxies (COMPAT-1); @p cluster is the one whose key was shown.
  /// @errors limit_reached when every seat is taken
  [[nodiscard]] virtual result<json>
  register_proxy(const cluster_ref& cluster, const json& body, const std::string& source) = 0;
  [[nodiscard]] virtual result<json>
  heartbeat(const cluster_ref& cluster, const json& body, const std::string& source) = 0;
  [[nodiscard]] virtual result<json> proxy_configuration(const cluster_ref& cluster) = 0;
  [[nodiscard]] virtual result<json> license_status() = 0;
  [[nodiscard]] virtual result<json> validate_license(const json& body) = 0;

  // The system.
  [[nodiscard]] virtual std::vector<dependency_health> health() = 0;
  [[nodiscard]] virtual result<json> status(const caller& by) = 0;
};

} // namespace marchproxy::api

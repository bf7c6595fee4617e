// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/manager/hub.hpp"
#include "actors/storage/store.hpp"
#include "nodes/api/backend.hpp"

#include <caf/actor_system.hpp>

#include <functional>
#include <memory>
#include <string>

namespace marchproxy::manager_node {

using nlohmann::json;

/// The operations of the API over the store, the keyring and the cluster actors. Thread-safe;
/// blocks.
class backend : public api::backend {
public:
  backend(caf::actor_system& system,
          std::shared_ptr<storage::store> store,
          std::shared_ptr<manager::authority> trust);
  /// The hub is spawned after the backend, since it answers automation through it.
  void attach(manager::hub_actor hub) { hub_ = std::move(hub); }

  /// A request of automation on the bus (subject mp.v1.request.mapping): the answer's event data.
  [[nodiscard]] std::string answer_request(cluster_id cluster, const std::string& bytes);

  [[nodiscard]] result<api::session> login(const std::string& username,
                                           const std::string& password,
                                           const std::string& source) override;
  [[nodiscard]] result<void> logout(const api::caller& by, const std::string& token) override;
  [[nodiscard]] result<api::session> find_session(const std::string& token) override;
  [[nodiscard]] result<api::principal> find_api_key(const std::string& key) override;
  [[nodiscard]] result<api::cluster_ref> find_cluster_key(const std::string& key) override;
  [[nodiscard]] result<api::cluster_ref> find_cluster(const std::string& text) override;

  [[nodiscard]] result<api::page> list_clusters(const api::caller& by,
                                                const api::query& q) override;
  [[nodiscard]] result<api::row> get_cluster(const api::caller& by, cluster_id cluster) override;
  [[nodiscard]] result<api::change>
  create_cluster(const api::caller& by, const json& body, const api::change_options& how) override;
  [[nodiscard]] result<api::change> update_cluster(const api::caller& by,
                                                   cluster_id cluster,
                                                   const json& body,
                                                   bool patch,
                                                   const api::change_options& how) override;
  [[nodiscard]] result<api::change> delete_cluster(const api::caller& by,
                                                   cluster_id cluster,
                                                   const api::change_options& how) override;
  [[nodiscard]] result<json> rotate_cluster_key(const api::caller& by,
                                                cluster_id cluster,
                                                std::chrono::seconds overlap) override;
  [[nodiscard]] result<void>
  delete_cluster_key(const api::caller& by, cluster_id cluster, const std::string& key_id) override;
  [[nodiscard]] result<json>
  create_bus_user(const api::caller& by, cluster_id cluster, const json& body) override;

  [[nodiscard]] result<api::page>
  list_services(const api::caller& by, cluster_id cluster, const api::query& q) override;
  [[nodiscard]] result<api::row>
  get_service(const api::caller& by, cluster_id cluster, service_id service) override;
  [[nodiscard]] result<api::change> create_service(const api::caller& by,
                                                   cluster_id cluster,
                                                   const json& body,
                                                   const api::change_options& how) override;
  [[nodiscard]] result<api::change> update_service(const api::caller& by,
                                                   cluster_id cluster,
                                                   service_id service,
                                                   const json& body,
                                                   bool patch,
                                                   const api::change_options& how) override;
  [[nodiscard]] result<api::change> delete_service(const api::caller& by,
                                                   cluster_id cluster,
                                                   service_id service,
                                                   const api::change_options& how) override;
  [[nodiscard]] result<api::page> list_credentials(const api::caller& by,
                                                   cluster_id cluster,
                                                   service_id service,
                                                   const api::query& q) override;
  [[nodiscard]] result<api::change> add_credential(const api::caller& by,
                                                   cluster_id cluster,
                                                   service_id service,
                                                   const json& body,
                                                   const api::change_options& how) override;
  [[nodiscard]] result<api::change> delete_credential(const api::caller& by,
                                                      cluster_id cluster,
                                                      service_id service,
                                                      const std::string& credential,
                                                      const api::change_options& how) override;

  [[nodiscard]] result<api::page>
  list_mappings(const api::caller& by, cluster_id cluster, const api::query& q) override;
  [[nodiscard]] result<api::row>
  get_mapping(const api::caller& by, cluster_id cluster, mapping_id mapping) override;
  [[nodiscard]] result<api::change> create_mapping(const api::caller& by,
                                                   cluster_id cluster,
                                                   const json& body,
                                                   const api::change_options& how) override;
  [[nodiscard]] result<api::change> update_mapping(const api::caller& by,
                                                   cluster_id cluster,
                                                   mapping_id mapping,
                                                   const json& body,
                                                   bool patch,
                                                   const api::change_options& how) override;
  [[nodiscard]] result<api::change> delete_mapping(const api::caller& by,
                                                   cluster_id cluster,
                                                   mapping_id mapping,
                                                   const api::change_options& how) override;

  [[nodiscard]] result<api::page>
  list_ingress_routes(const api::caller& by, cluster_id cluster, const api::query& q) override;
  [[nodiscard]] result<api::row> get_ingress_route(const api::caller& by,
                                                   cluster_id cluster,
                                                   model::ingress_route_id route) override;
  [[nodiscard]] result<api::change> create_ingress_route(const api::caller& by,
                                                         cluster_id cluster,
                                                         const json& body,
                                                         const api::change_options& how) override;
  [[nodiscard]] result<api::change> update_ingress_route(const api::caller& by,
                                                         cluster_id cluster,
                                                         model::ingress_route_id route,
                                                         const json& body,
                                                         bool patch,
                                                         const api::change_options& how) override;
  [[nodiscard]] result<api::change> delete_ingress_route(const api::caller& by,
                                                         cluster_id cluster,
                                                         model::ingress_route_id route,
                                                         const api::change_options& how) override;

  [[nodiscard]] result<api::page>
  list_proxies(const api::caller& by, cluster_id cluster, const api::query& q) override;
  [[nodiscard]] result<api::row>
  get_proxy(const api::caller& by, cluster_id cluster, const std::string& proxy) override;
  [[nodiscard]] result<void>
  revoke_proxy(const api::caller& by, cluster_id cluster, const std::string& proxy) override;

  [[nodiscard]] result<api::page>
  list_revisions(const api::caller& by, cluster_id cluster, const api::query& q) override;
  [[nodiscard]] result<api::row>
  get_revision(const api::caller& by, cluster_id cluster, revision number) override;
  [[nodiscard]] result<api::change> restore_revision(const api::caller& by,
                                                     cluster_id cluster,
                                                     revision number,
                                                     const api::change_options& how) override;
  [[nodiscard]] result<json>
  explain(const api::caller& by, cluster_id cluster, const json& body) override;
  [[nodiscard]] result<api::page> list_audit(const api::caller& by,
                                             const std::string& ledger,
                                             std::uint64_t after,
                                             std::size_t limit) override;

  [[nodiscard]] result<api::page> list_users(const api::caller& by, const api::query& q) override;
  [[nodiscard]] result<api::row> create_user(const api::caller& by, const json& body) override;
  [[nodiscard]] result<api::row>
  set_roles(const api::caller& by, user_id user, const json& body) override;
  [[nodiscard]] result<void> delete_user(const api::caller& by, user_id user) override;
  [[nodiscard]] result<api::page> list_api_keys(const api::caller& by,
                                                const api::query& q) override;
  [[nodiscard]] result<api::row> create_api_key(const api::caller& by, const json& body) override;
  [[nodiscard]] result<void> delete_api_key(const api::caller& by, const std::string& id) override;

  [[nodiscard]] result<json> register_proxy(const api::cluster_ref& cluster,
                                            const json& body,
                                            const std::string& source) override;
  [[nodiscard]] result<json>
  heartbeat(const api::cluster_ref& cluster, const json& body, const std::string& source) override;
  [[nodiscard]] result<json> proxy_configuration(const api::cluster_ref& cluster) override;
  [[nodiscard]] result<json> license_status() override;
  [[nodiscard]] result<json> validate_license(const json& body) override;

  [[nodiscard]] std::vector<api::dependency_health> health() override;
  [[nodiscard]] result<json> status(const api::caller& by) override;

private:
  /// The answer to a change that was made durable: rolls it out and waits for the outcome as long
  /// as @p how says.
  [[nodiscard]] api::change settle(cluster_id cluster,
                                   const storage::outcome& done,
                                   api::row resource,
                                   const api::change_options& how);
  /// Stores what @p body came to, and answers with what is there then.
  /// @param store  of a value: result<storage::outcome>; @param get  of an id: result<api::row>
  template <class T, class Store, class Get>
  [[nodiscard]] result<api::change>
  create(cluster_id cluster, result<T> value, const api::change_options& how, Store store, Get get);
  /// The same for PUT and PATCH of what is there before.
  /// @param parse  of JSON: result<T>; @param store  of a value and the version it must have
  template <class T, class Parse, class Store, class Get>
  [[nodiscard]] result<api::change> update(cluster_id cluster,
                                           const result<storage::stored<T>>& before,
                                           const json& body,
                                           bool patch,
                                           const api::change_options& how,
                                           Parse parse,
                                           Store store,
                                           Get get);
  [[nodiscard]] result<void> make_audit_consumer(cluster_id cluster, const std::string& name);
  [[nodiscard]] result<api::principal> principal_of(user_id user);
  [[nodiscard]] result<storage::role_map> parse_roles(const json& body);

  caf::actor_system& system_;
  std::shared_ptr<storage::store> store_;
  std::shared_ptr<manager::authority> trust_;
  manager::hub_actor hub_;
};

/// For the audit record of a change that @p by asks for.
[[nodiscard]] storage::change_context context_of(const api::caller& by);
/// The same, with the idempotency key of @p how for a create with this body.
[[nodiscard]] storage::change_context
context_of(const api::caller& by, const api::change_options& how, const json& body);
/// `cursor` of a list is the last id of the page before. @errors invalid_argument naming `cursor`
[[nodiscard]] result<storage::page_request> page_of(const api::query& q);
/// The value of a filter, if it was given.
[[nodiscard]] std::optional<std::string> filter_of(const api::query& q, std::string_view name);

/// @p stored as the API shows it: canonical form with version, created_at and updated_at.
template <class T>
[[nodiscard]] api::row row_of(const storage::stored<T>& stored) {
  auto data = model::to_json(stored.value);
  data["version"] = stored.version;
  data["created_at"] = format_time(stored.created_at);
  data["updated_at"] = format_time(stored.updated_at);
  return {std::move(data), stored.version};
}

template <class T>
[[nodiscard]] api::page page_of_rows(const storage::page<storage::stored<T>>& found) {
  api::page out;
  for (const auto& one : found.items)
    out.items.push_back(row_of(one).data);
  if (found.next != 0)
    out.next_cursor = std::to_string(found.next);
  return out;
}

} // namespace marchproxy::manager_node

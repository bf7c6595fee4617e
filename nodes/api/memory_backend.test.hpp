// SPDX-License-Identifier: AGPL-3.0-only
// A backend in memory, for the tests of the API's own part: routing, identity, permissions,
// envelope.
#pragma once

#include "nodes/api/backend.hpp"

#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace marchproxy::api {

/// Two clusters (1 `eu`, 2 `us`); keys `mpa_admin`, `mpa_owner` (service owner of eu), `mpa_reader`
/// (the same, reading only), `mpa_operator` (administrator of eu); user alice / `right`; cluster
/// keys `key-eu`, `key-us`.
class memory_backend : public backend {
public:
  memory_backend();

  // What the tests turn and look at.
  bool healthy = true;
  bool seats_left = true;
  rollout_outcome next_rollout{
    .revision = 7, .state = rollout_state::in_force, .reason = "", .expected = 2, .applied = 2};
  change_options seen_how;
  query seen_query;
  caller seen_caller;
  std::chrono::seconds seen_overlap{0};
  std::map<std::uint64_t, row> services;

  [[nodiscard]] result<session>
  login(const std::string& user, const std::string& password, const std::string&) override;
  [[nodiscard]] result<void> logout(const caller&, const std::string& token) override;
  [[nodiscard]] result<session> find_session(const std::string& token) override;
  [[nodiscard]] result<principal> find_api_key(const std::string& key) override;
  [[nodiscard]] result<cluster_ref> find_cluster_key(const std::string& key) override;
  [[nodiscard]] result<cluster_ref> find_cluster(const std::string& text) override;

  [[nodiscard]] result<page> list_clusters(const caller&, const query& q) override;
  [[nodiscard]] result<row> get_cluster(const caller&, cluster_id) override;
  [[nodiscard]] result<change>
  create_cluster(const caller&, const json& body, const change_options&) override;
  [[nodiscard]] result<change>
  update_cluster(const caller&, cluster_id, const json&, bool, const change_options&) override;
  [[nodiscard]] result<change>
  delete_cluster(const caller&, cluster_id, const change_options&) override;
  [[nodiscard]] result<json>
  rotate_cluster_key(const caller&, cluster_id, std::chrono::seconds) override;
  [[nodiscard]] result<json> create_bus_user(const caller&, cluster_id, const json& body) override;
  [[nodiscard]] result<void>
  delete_cluster_key(const caller&, cluster_id, const std::string&) override;

  [[nodiscard]] result<page> list_services(const caller&, cluster_id, const query& q) override;
  [[nodiscard]] result<row> get_service(const caller&, cluster_id, service_id id) override;
  [[nodiscard]] result<change>
  create_service(const caller&, cluster_id, const json&, const change_options&) override;
  [[nodiscard]] result<change> update_service(
    const caller&, cluster_id, service_id, const json&, bool, const change_options&) override;
  [[nodiscard]] result<change>
  delete_service(const caller&, cluster_id, service_id, const change_options&) override;
  [[nodiscard]] result<page>
  list_credentials(const caller&, cluster_id, service_id, const query&) override;
  [[nodiscard]] result<change> add_credential(
    const caller&, cluster_id, service_id, const json&, const change_options&) override;
  [[nodiscard]] result<change> delete_credential(
    const caller&, cluster_id, service_id, const std::string&, const change_options&) override;

  [[nodiscard]] result<page> list_mappings(const caller&, cluster_id, const query&) override;
  [[nodiscard]] result<row> get_mapping(const caller&, cluster_id, mapping_id) override;
  [[nodiscard]] result<change>
  create_mapping(const caller&, cluster_id, const json&, const change_options&) override;
  [[nodiscard]] result<change> update_mapping(
    const caller&, cluster_id, mapping_id, const json&, bool, const change_options&) override;
  [[nodiscard]] result<change>
  delete_mapping(const caller&, cluster_id, mapping_id, const change_options&) override;

  [[nodiscard]] result<page> list_ingress_routes(const caller&, cluster_id, const query&) override;
  [[nodiscard]] result<row>
  get_ingress_route(const caller&, cluster_id, model::ingress_route_id) override;
  [[nodiscard]] result<change>
  create_ingress_route(const caller&, cluster_id, const json&, const change_options&) override;
  [[nodiscard]] result<change> update_ingress_route(const caller&,
                                                    cluster_id,
                                                    model::ingress_route_id,
                                                    const json&,
                                                    bool,
                                                    const change_options&) override;
  [[nodiscard]] result<change> delete_ingress_route(const caller&,
                                                    cluster_id,
                                                    model::ingress_route_id,
                                                    const change_options&) override;

  [[nodiscard]] result<page> list_proxies(const caller&, cluster_id, const query&) override;
  [[nodiscard]] result<row> get_proxy(const caller&, cluster_id, const std::string& id) override;
  [[nodiscard]] result<void>
  revoke_proxy(const caller&, cluster_id, const std::string& id) override;
  [[nodiscard]] result<page> list_revisions(const caller&, cluster_id, const query&) override;
  [[nodiscard]] result<row> get_revision(const caller&, cluster_id, revision) override;
  [[nodiscard]] result<change>
  restore_revision(const caller&, cluster_id, revision, const change_options&) override;
  [[nodiscard]] result<json> explain(const caller&, cluster_id, const json& body) override;
  [[nodiscard]] result<page>
  list_audit(const caller&, const std::string&, std::uint64_t after, std::size_t limit) override;

  [[nodiscard]] result<page> list_users(const caller&, const query&) override;
  [[nodiscard]] result<row> create_user(const caller&, const json&) override;
  [[nodiscard]] result<row> set_roles(const caller&, user_id, const json&) override;
  [[nodiscard]] result<void> delete_user(const caller&, user_id) override;
  [[nodiscard]] result<page> list_api_keys(const caller&, const query&) override;
  [[nodiscard]] result<row> create_api_key(const caller&, const json&) override;
  [[nodiscard]] result<void> delete_api_key(const caller&, const std::string& id) override;

  [[nodiscard]] result<json>
  register_proxy(const cluster_ref&, const json&, const std::string&) override;
  [[nodiscard]] result<json>
  heartbeat(const cluster_ref&, const json&, const std::string&) override;
  [[nodiscard]] result<json> proxy_configuration(const cluster_ref&) override;
  [[nodiscard]] result<json> license_status() override;
  [[nodiscard]] result<json> validate_license(const json&) override;

  std::vector<dependency_health> health() override;
  [[nodiscard]] result<json> status(const caller&) override;

private:
  [[nodiscard]] result<change> changed(row resource, const caller& by, const change_options& how);

  std::mutex mutex_;
  std::map<std::string, session> sessions_;
  std::uint64_t last_service_ = 1;
};

} // namespace marchproxy::api

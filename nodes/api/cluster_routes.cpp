// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/reply.hpp"
#include "nodes/api/route.hpp"

#include <utility>

namespace marchproxy::api {

namespace {

result<reply> list_clusters(call& c) {
  return c.manager.list_clusters(c.by, c.list).map(reply_page);
}

result<reply> get_cluster(call& c) {
  return c.manager.get_cluster(c.by, c.cluster.id).map(reply_row);
}

result<reply> create_cluster(call& c) {
  return c.manager.create_cluster(c.by, c.body, c.how).map(reply_change);
}

result<reply> replace_cluster(call& c) {
  return c.manager.update_cluster(c.by, c.cluster.id, c.body, false, c.how).map(reply_change);
}

result<reply> patch_cluster(call& c) {
  return c.manager.update_cluster(c.by, c.cluster.id, c.body, true, c.how).map(reply_change);
}

result<reply> delete_cluster(call& c) {
  return c.manager.delete_cluster(c.by, c.cluster.id, c.how).map(reply_change);
}

result<reply> rotate_key(call& c) {
  constexpr std::int64_t most = 30LL * 24 * 3600;
  std::int64_t overlap = 24LL * 3600;
  if (const auto given = c.body.find("overlap_seconds"); given != c.body.end()) {
    if (!given->is_number_integer() || *given < 0 || *given > most)
      return fail_field("overlap_seconds", "must be an integer from 0 to 2592000");
    overlap = given->get<std::int64_t>();
  }
  return c.manager.rotate_cluster_key(c.by, c.cluster.id, std::chrono::seconds(overlap))
    .map(reply_data);
}

result<reply> delete_key(call& c) {
  return c.manager.delete_cluster_key(c.by, c.cluster.id, c.parameter("key")).map(reply_nothing);
}

result<reply> create_bus_user(call& c) {
  return c.manager.create_bus_user(c.by, c.cluster.id, c.body).map(reply_data);
}

constexpr route table[] = {
  {.method = "GET",
   .path = "/api/v1/clusters",
   .operation = "listClusters",
   .summary = "The clusters the caller may see",
   .shape = shape::list,
   .needs = permission::authenticated,
   .run = list_clusters,
   .returns = "Cluster",
   .filters = {"name"}},
  {.method = "POST",
   .path = "/api/v1/clusters",
   .operation = "createCluster",
   .summary = "A new cluster; the answer has its first api_key, once",
   .shape = shape::create,
   .needs = permission::administer,
   .run = create_cluster,
   .takes = "ClusterInput",
   .returns = "NewCluster",
   .status = 201},
  {.method = "GET",
   .path = "/api/v1/clusters/{cluster}",
   .operation = "getCluster",
   .summary = "One cluster, by id or name",
   .needs = permission::configuration_read,
   .run = get_cluster,
   .returns = "Cluster"},
  {.method = "PUT",
   .path = "/api/v1/clusters/{cluster}",
   .operation = "replaceCluster",
   .summary = "All settings of a cluster",
   .shape = shape::modify,
   .needs = permission::cluster_operate,
   .run = replace_cluster,
   .takes = "ClusterInput",
   .returns = "Cluster"},
  {.method = "PATCH",
   .path = "/api/v1/clusters/{cluster}",
   .operation = "patchCluster",
   .summary = "Some settings of a cluster (RFC 7396)",
   .shape = shape::modify,
   .needs = permission::cluster_operate,
   .run = patch_cluster,
   .takes = "ClusterPatch",
   .returns = "Cluster"},
  {.method = "DELETE",
   .path = "/api/v1/clusters/{cluster}",
   .operation = "deleteCluster",
   .summary = "Removes a cluster that has no proxies",
   .shape = shape::modify,
   .needs = permission::administer,
   .run = delete_cluster},
  {.method = "POST",
   .path = "/api/v1/clusters/{cluster}/keys",
   .operation = "rotateClusterKey",
   .summary = "A new cluster key, shown once; the former one lives on for the overlap",
   .shape = shape::action,
   .needs = permission::cluster_operate,
   .run = rotate_key,
   .takes = "KeyRotation",
   .returns = "ClusterKey",
   .status = 201,
   .body_optional = true},
  {.method = "DELETE",
   .path = "/api/v1/clusters/{cluster}/keys/{key}",
   .operation = "deleteClusterKey",
   .summary = "Ends a cluster key at once",
   .shape = shape::action,
   .needs = permission::cluster_operate,
   .run = delete_key},
  {.method = "POST",
   .path = "/api/v1/clusters/{cluster}/bus-users",
   .operation = "createBusUser",
   .summary = "Credentials for the bus: automation or siem; shown once",
   .shape = shape::action,
   .needs = permission::cluster_operate,
   .run = create_bus_user,
   .takes = "BusUserInput",
   .returns = "BusUser",
   .status = 201},
};

} // namespace

std::span<const route> cluster_routes() {
  return table;
}

} // namespace marchproxy::api

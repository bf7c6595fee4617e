// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/reply.hpp"
#include "nodes/api/route.hpp"

namespace marchproxy::api {

namespace {

result<model::ingress_route_id> id_of(const call& c) {
  return c.number("route").map([](std::uint64_t value) { return model::ingress_route_id{value}; });
}

result<reply> list_ingress_routes(call& c) {
  return c.manager.list_ingress_routes(c.by, c.cluster.id, c.list).map(reply_page);
}

result<reply> create_ingress_route(call& c) {
  return c.manager.create_ingress_route(c.by, c.cluster.id, c.body, c.how).map(reply_change);
}

result<reply> get_ingress_route(call& c) {
  return id_of(c).and_then([&](model::ingress_route_id id) {
    return c.manager.get_ingress_route(c.by, c.cluster.id, id).map(reply_row);
  });
}

template <bool Patch>
result<reply> update_ingress_route(call& c) {
  return id_of(c).and_then([&](model::ingress_route_id id) {
    return c.manager.update_ingress_route(c.by, c.cluster.id, id, c.body, Patch, c.how)
      .map(reply_change);
  });
}

result<reply> delete_ingress_route(call& c) {
  return id_of(c).and_then([&](model::ingress_route_id id) {
    return c.manager.delete_ingress_route(c.by, c.cluster.id, id, c.how).map(reply_change);
  });
}

constexpr route table[] = {
  {.method = "GET",
   .path = "/api/v1/clusters/{cluster}/ingress-routes",
   .operation = "listIngressRoutes",
   .summary = "Ingress routes of a cluster",
   .shape = shape::list,
   .needs = permission::configuration_read,
   .run = list_ingress_routes,
   .returns = "IngressRoute",
   .filters = {"name"}},
  {.method = "POST",
   .path = "/api/v1/clusters/{cluster}/ingress-routes",
   .operation = "createIngressRoute",
   .summary = "A new ingress route",
   .shape = shape::create,
   .needs = permission::configuration_write,
   .run = create_ingress_route,
   .takes = "IngressRouteInput",
   .returns = "IngressRoute",
   .status = 201},
  {.method = "GET",
   .path = "/api/v1/clusters/{cluster}/ingress-routes/{route}",
   .operation = "getIngressRoute",
   .summary = "One ingress route",
   .needs = permission::configuration_read,
   .run = get_ingress_route,
   .returns = "IngressRoute"},
  {.method = "PUT",
   .path = "/api/v1/clusters/{cluster}/ingress-routes/{route}",
   .operation = "replaceIngressRoute",
   .summary = "All fields of an ingress route",
   .shape = shape::modify,
   .needs = permission::configuration_write,
   .run = update_ingress_route<false>,
   .takes = "IngressRouteInput",
   .returns = "IngressRoute"},
  {.method = "PATCH",
   .path = "/api/v1/clusters/{cluster}/ingress-routes/{route}",
   .operation = "patchIngressRoute",
   .summary = "Some fields of an ingress route (RFC 7396)",
   .shape = shape::modify,
   .needs = permission::configuration_write,
   .run = update_ingress_route<true>,
   .takes = "IngressRoutePatch",
   .returns = "IngressRoute"},
  {.method = "DELETE",
   .path = "/api/v1/clusters/{cluster}/ingress-routes/{route}",
   .operation = "deleteIngressRoute",
   .summary = "Removes an ingress route",
   .shape = shape::modify,
   .needs = permission::configuration_write,
   .run = delete_ingress_route},
};

} // namespace

std::span<const route> ingress_routes() {
  return table;
}

} // namespace marchproxy::api

// SPDX-License-Identifier: AGPL-3.0-only
// Ingress routes.
#include "nodes/manager/backend.hpp"

namespace marchproxy::manager_node {

result<api::page>
backend::list_ingress_routes(const api::caller&, cluster_id cluster, const api::query& q) {
  return page_of(q).and_then([&](const storage::page_request& which) {
    return store_->ingress_routes(cluster, filter_of(q, "name"), which).map([](const auto& found) {
      return page_of_rows(found);
    });
  });
}

result<api::row>
backend::get_ingress_route(const api::caller&, cluster_id cluster, model::ingress_route_id route) {
  return store_->ingress_route(cluster, route).map([](const auto& found) { return row_of(found); });
}

result<api::change> backend::create_ingress_route(const api::caller& by,
                                                  cluster_id cluster,
                                                  const json& body,
                                                  const api::change_options& how) {
  auto known = store_->directory(cluster);
  if (!known)
    return tl::unexpected(known.error());
  auto value = model::parse_ingress_route(body, **known);
  if (!value)
    return tl::unexpected(value.error());
  value->cluster = cluster;
  auto done = store_->create_ingress_route(context_of(by, how, body), *value);
  if (!done)
    return tl::unexpected(done.error());
  return get_ingress_route(by, cluster, model::ingress_route_id{done->id}).map([&](api::row made) {
    return settle(cluster, *done, std::move(made), how);
  });
}

result<api::change> backend::update_ingress_route(const api::caller& by,
                                                  cluster_id cluster,
                                                  model::ingress_route_id route,
                                                  const json& body,
                                                  bool patch,
                                                  const api::change_options& how) {
  auto before = store_->ingress_route(cluster, route);
  auto known = store_->directory(cluster);
  if (!before || !known)
    return tl::unexpected(before ? known.error() : before.error());
  auto value = model::parse_ingress_route(
    patch ? model::merge_patch(model::to_json(before->value), body) : body, **known);
  if (!value)
    return tl::unexpected(value.error());
  value->id = route;
  value->cluster = cluster;
  auto expected =
    how.if_match ? how.if_match : (patch ? std::optional{before->version} : std::nullopt);
  auto done = store_->update_ingress_route(context_of(by), *value, expected);
  if (!done)
    return tl::unexpected(done.error());
  return get_ingress_route(by, cluster, route).map([&](api::row after) {
    return settle(cluster, *done, std::move(after), how);
  });
}

result<api::change> backend::delete_ingress_route(const api::caller& by,
                                                  cluster_id cluster,
                                                  model::ingress_route_id route,
                                                  const api::change_options& how) {
  return store_->delete_ingress_route(context_of(by), cluster, route, how.if_match)
    .map([&](const storage::outcome& done) { return settle(cluster, done, {}, how); });
}

} // namespace marchproxy::manager_node

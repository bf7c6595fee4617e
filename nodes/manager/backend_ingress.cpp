// SPDX-License-Identifier: AGPL-3.0-only
// Ingress routes.
#include "nodes/manager/backend_changes.hpp"

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
  return create(
    cluster, model::parse_ingress_route(body, **known), how,
    [&](const model::ingress_route& value) {
      return store_->create_ingress_route(context_of(by, how, body), value);
    },
    [&](model::ingress_route_id id) { return get_ingress_route(by, cluster, id); });
}

result<api::change> backend::update_ingress_route(const api::caller& by,
                                                  cluster_id cluster,
                                                  model::ingress_route_id route,
                                                  const json& body,
                                                  bool patch,
                                                  const api::change_options& how) {
  auto known = store_->directory(cluster);
  if (!known)
    return tl::unexpected(known.error());
  return update(
    cluster, store_->ingress_route(cluster, route), body, patch, how,
    [&](const json& whole) { return model::parse_ingress_route(whole, **known); },
    [&](const model::ingress_route& value, std::optional<std::uint64_t> expected) {
      return store_->update_ingress_route(context_of(by), value, expected);
    },
    [&](model::ingress_route_id id) { return get_ingress_route(by, cluster, id); });
}

result<api::change> backend::delete_ingress_route(const api::caller& by,
                                                  cluster_id cluster,
                                                  model::ingress_route_id route,
                                                  const api::change_options& how) {
  return store_->delete_ingress_route(context_of(by), cluster, route, how.if_match)
    .map([&](const storage::outcome& done) { return settle(cluster, done, {}, how); });
}

} // namespace marchproxy::manager_node

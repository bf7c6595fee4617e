// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/manager/backend.hpp"

#include <utility>

namespace marchproxy::manager_node {

template <class T, class Store, class Get>
result<api::change> backend::create(
  cluster_id cluster, result<T> value, const api::change_options& how, Store store, Get get) {
  if (!value)
    return tl::unexpected(value.error());
  value->cluster = cluster;
  auto done = store(*value);
  if (!done)
    return tl::unexpected(done.error());
  return get(decltype(T::id){done->id}).map([&](api::row made) {
    return settle(cluster, *done, std::move(made), how);
  });
}

template <class T, class Parse, class Store, class Get>
result<api::change> backend::update(cluster_id cluster,
                                    const result<storage::stored<T>>& before,
                                    const json& body,
                                    bool patch,
                                    const api::change_options& how,
                                    Parse parse,
                                    Store store,
                                    Get get) {
  if (!before)
    return tl::unexpected(before.error());
  result<T> value = parse(patch ? model::merge_patch(model::to_json(before->value), body) : body);
  if (!value)
    return tl::unexpected(value.error());
  value->id = before->value.id;
  value->cluster = cluster;
  // A patch is of what was read: without If-Match, somebody else's change in between must not be
  // lost.
  auto expected =
    how.if_match ? how.if_match : (patch ? std::optional{before->version} : std::nullopt);
  auto done = store(*value, expected);
  if (!done)
    return tl::unexpected(done.error());
  return get(value->id).map(
    [&](api::row after) { return settle(cluster, *done, std::move(after), how); });
}

} // namespace marchproxy::manager_node

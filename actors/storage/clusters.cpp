// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/mutation.hpp"
#include "actors/storage/ruleset_reader.hpp"
#include "actors/storage/store.hpp"

namespace marchproxy::storage {

namespace {

/// Columns id, body, version, created_at, updated_at.
result<stored<model::cluster>> read_cluster(const row& columns) {
  auto value = cluster_from(columns.text(1), columns.id<cluster_id>(0));
  if (!value)
    return tl::unexpected(value.error());
  return stored<model::cluster>{std::move(*value), columns.number(2), columns.time(3),
                                columns.time(4)};
}

result<stored<model::cluster>> only_cluster(const result<rows>& found) {
  if (!found)
    return tl::unexpected(found.error());
  if (found->empty())
    return fail(errc::not_found, "no such cluster");
  return read_cluster(found->front());
}

result<stored<model::cluster>>
current(mutation& m, cluster_id id, std::optional<std::uint64_t> expected) {
  auto now = only_cluster(
    m.exec("SELECT id, body, version, created_at, updated_at FROM clusters WHERE id = $1", {id}));
  if (!now)
    return now;
  if (auto checked = check_version(expected, now->version); !checked)
    return tl::unexpected(checked.error());
  return now;
}

/// @errors conflict naming what is left
result<void> check_empty(mutation& m, cluster_id id) {
  const auto left =
    m.exec("SELECT (SELECT COUNT(*) FROM services WHERE cluster_id = $1), "
           "(SELECT COUNT(*) FROM mappings WHERE cluster_id = $1), "
           "(SELECT COUNT(*) FROM ingress_routes WHERE cluster_id = $1), "
           "(SELECT COUNT(*) FROM proxies WHERE cluster_id = $1 AND state <> 'retired')",
           {id});
  if (!left)
    return tl::unexpected(left.error());
  const auto& line = left->front();
  if (line.integer(0) + line.integer(1) + line.integer(2) + line.integer(3) == 0)
    return {};
  return fail(errc::conflict, "the cluster still has " + std::to_string(line.integer(0))
                                + " services, " + std::to_string(line.integer(1)) + " mappings, "
                                + std::to_string(line.integer(2)) + " ingress routes and "
                                + std::to_string(line.integer(3)) + " proxies");
}

} // namespace

result<outcome> store::create_cluster(const change_context& by, const model::cluster& value) {
  return change(by, {.in = {}, .action = "cluster.create"}, [&](mutation& m) -> result<void> {
    if (value.name == audit::installation_ledger)
      return fail_field("name", "is taken by the installation's own ledger");
    const auto taken = m.exec("SELECT 1 FROM clusters WHERE name = $1", {value.name});
    if (!taken)
      return tl::unexpected(taken.error());
    if (!taken->empty())
      return fail(errc::conflict, "a cluster of that name exists");
    const auto made =
      m.exec("INSERT INTO clusters (name, max_proxies, body, created_at, updated_at) "
             "VALUES ($1, $2, $3, $4, $4) RETURNING id",
             {value.name, value.max_proxies, text_of(model::to_json(value)), m.by().at});
    if (!made)
      return tl::unexpected(made.error());
    auto shown = value;
    shown.id = made->front().id<cluster_id>(0);
    m.about("cluster", shown.id.value, value.name);
    m.after(model::to_json(shown));
    m.version(1);
    return {};
  });
}

result<stored<model::cluster>> store::cluster(cluster_id id) {
  return only_cluster(
    query("SELECT id, body, version, created_at, updated_at FROM clusters WHERE id = $1", {id}));
}

result<stored<model::cluster>> store::cluster_by_name(std::string_view name) {
  return only_cluster(query(
    "SELECT id, body, version, created_at, updated_at FROM clusters WHERE name = $1", {name}));
}

result<page<stored<model::cluster>>> store::clusters(page_request which) {
  const auto limit = clamp_limit(which.limit);
  const auto found = query("SELECT id, body, version, created_at, updated_at FROM clusters "
                           "WHERE id > $1 ORDER BY id LIMIT $2",
                           {which.after, limit + 1});
  if (!found)
    return tl::unexpected(found.error());
  return page_of<stored<model::cluster>>(*found, limit, read_cluster);
}

result<outcome> store::update_cluster(const change_context& by,
                                      const model::cluster& value,
                                      std::optional<std::uint64_t> expected) {
  return change(by, {.in = value.id, .action = "cluster.update"}, [&](mutation& m) -> result<void> {
    const auto now = current(m, value.id, expected);
    if (!now)
      return tl::unexpected(now.error());
    if (now->value.name != value.name)
      return fail_field("name", "a cluster keeps its name");
    if (now->value.observe != value.observe) // the one field that decides traffic
      if (auto revised = m.revise(); !revised)
        return revised;
    const auto changed =
      m.exec("UPDATE clusters SET max_proxies = $2, body = $3, updated_at = $4, "
             "version = version + 1 WHERE id = $1",
             {value.id, value.max_proxies, text_of(model::to_json(value)), m.by().at});
    m.about("cluster", value.id.value, value.name);
    m.before(model::to_json(now->value));
    m.after(model::to_json(value));
    m.version(now->version + 1);
    return expect_one(changed, "cluster");
  });
}

result<outcome> store::delete_cluster(const change_context& by,
                                      cluster_id id,
                                      std::optional<std::uint64_t> expected) {
  // In the installation's ledger: the cluster's own account ends with it. A service that is being
  // created meanwhile refers to the row, so one of the two fails.
  return change(by, {.in = {}, .action = "cluster.delete"}, [&](mutation& m) -> result<void> {
    const auto now = current(m, id, expected);
    if (!now)
      return tl::unexpected(now.error());
    if (auto empty = check_empty(m, id); !empty)
      return empty;
    m.about("cluster", id.value, now->value.name);
    m.before(model::to_json(now->value));
    const auto gone =
      m.exec("DELETE FROM proxies WHERE cluster_id = $1", {id})
        .and_then(
          [&](const rows&) { return m.exec("DELETE FROM user_roles WHERE cluster_id = $1", {id}); })
        .and_then([&](const rows&) { return m.exec("DELETE FROM clusters WHERE id = $1", {id}); });
    return expect_one(gone, "cluster");
  });
}

} // namespace marchproxy::storage

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/resource_rows.hpp"
#include "actors/storage/ruleset_reader.hpp"
#include "actors/storage/store.hpp"

namespace marchproxy::storage {

namespace {

result<stored<model::service>>
current(mutation& m, cluster_id in, service_id id, std::optional<std::uint64_t> expected) {
  return of_version(
    only_stored(m.exec("SELECT id, body, version, created_at, updated_at FROM services "
                       "WHERE cluster_id = $1 AND id = $2",
                       {in, id}),
                in, service_from, "service"),
    expected);
}

result<void> check_name_free(mutation& m, const model::service& value) {
  const auto taken =
    m.exec("SELECT 1 FROM services WHERE cluster_id = $1 AND name = $2 AND id <> $3",
           {value.cluster, value.name, value.id});
  if (!taken)
    return tl::unexpected(taken.error());
  if (!taken->empty())
    return fail(errc::conflict, "a service of that name exists");
  return {};
}

/// A source is recognised by its address, so a service that is one cannot become a name.
result<void> check_address_change(mutation& m, const model::service& value) {
  if (!std::holds_alternative<model::dns_name>(value.address))
    return {};
  const auto used =
    m.exec("SELECT m.id, m.name FROM mapping_services u JOIN mappings m ON m.id = u.mapping_id "
           "WHERE u.service_id = $1 AND u.side = 'source' ORDER BY m.id LIMIT 20",
           {value.id});
  if (!used)
    return tl::unexpected(used.error());
  if (!used->empty())
    return fail(errc::conflict,
                "a source needs an address, not a name; source of mappings " + listing(*used));
  return {};
}

/// What an ingress route sends to must stay one host, with one port unless the route names it.
result<void> check_backend_change(mutation& m, const model::service& value) {
  const auto used = m.exec("SELECT r.id, r.name, r.body FROM ingress_route_services u "
                           "JOIN ingress_routes r ON r.id = u.route_id "
                           "WHERE u.service_id = $1 ORDER BY r.id LIMIT 20",
                           {value.id});
  if (!used)
    return tl::unexpected(used.error());
  if (!used->empty() && !model::is_single_host(value.address))
    return fail(errc::conflict,
                "what ingress routes lead to needs one address or name; used by ingress routes "
                  + listing(*used));
  for (const auto& one : used->list) {
    auto route = ingress_route_from(one.text(2), value.cluster, one.id<model::ingress_route_id>(0));
    if (!route)
      return tl::unexpected(route.error());
    if (model::only_port(value.ports))
      continue;
    for (const auto& backend : route->backends)
      if (backend.service == value.id && backend.port == 0)
        return fail(errc::conflict, "ingress route \"" + route->name
                                      + "\" takes the port from this service, which needs exactly "
                                        "one");
  }
  return {};
}

result<void> check_auth_change(mutation& m, const model::service& value) {
  const auto other =
    m.exec("SELECT 1 FROM credentials WHERE service_id = $1 AND kind <> $2 LIMIT 1",
           {value.id, model::to_string(value.auth)});
  if (!other)
    return tl::unexpected(other.error());
  if (!other->empty())
    return fail(errc::conflict, "the service has credentials of another kind: remove them first");
  return {};
}

} // namespace

result<outcome> store::create_service(const change_context& by, const model::service& value) {
  const change_plan plan{.in = value.cluster, .action = "service.create", .revises = true};
  return change(by, plan, [&](mutation& m) -> result<void> {
    auto fresh = value;
    fresh.id = {};
    if (auto available = check_name_free(m, fresh); !available)
      return available;
    const auto made = m.exec(
      "INSERT INTO services (cluster_id, name, collection, active, body, created_at, updated_at) "
      "VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id",
      {fresh.cluster, fresh.name, fresh.collection, fresh.active, text_of(model::to_json(fresh)),
       m.by().at});
    if (!made)
      return tl::unexpected(made.error());
    fresh.id = made->front().id<service_id>(0);
    m.after(model::to_json(fresh));
    m.version(1);
    announce(m, "service", fresh, "created");
    return {};
  });
}

result<stored<model::service>> store::service(cluster_id in, service_id id) {
  return only_stored(query("SELECT id, body, version, created_at, updated_at FROM services "
                           "WHERE cluster_id = $1 AND id = $2",
                           {in, id}),
                     in, service_from, "service");
}

result<page<stored<model::service>>>
store::services(cluster_id in, const service_filter& filter, page_request which) {
  const auto limit = clamp_limit(which.limit);
  const auto found = query("SELECT id, body, version, created_at, updated_at FROM services "
                           "WHERE cluster_id = $1 AND id > $2 "
                           "AND (CAST($3 AS TEXT) IS NULL OR name = CAST($3 AS TEXT)) "
                           "AND (CAST($4 AS TEXT) IS NULL OR collection = CAST($4 AS TEXT)) "
                           "ORDER BY id LIMIT $5",
                           {in, which.after, filter.name, filter.collection, limit + 1});
  if (!found)
    return tl::unexpected(found.error());
  return page_of<stored<model::service>>(
    *found, limit, [&](const row& columns) { return read_stored(columns, in, service_from); });
}

result<outcome> store::update_service(const change_context& by,
                                      const model::service& value,
                                      std::optional<std::uint64_t> expected) {
  const change_plan plan{.in = value.cluster, .action = "service.update", .revises = true};
  return change(by, plan, [&](mutation& m) -> result<void> {
    const auto now = current(m, value.cluster, value.id, expected);
    if (!now)
      return tl::unexpected(now.error());
    const auto allowed = check_name_free(m, value)
                           .and_then([&] { return check_address_change(m, value); })
                           .and_then([&] { return check_backend_change(m, value); })
                           .and_then([&] { return check_auth_change(m, value); });
    if (!allowed)
      return allowed;
    const auto changed =
      m.exec("UPDATE services SET name = $2, collection = $3, active = $4, body = $5, "
             "updated_at = $6, version = version + 1 WHERE id = $1",
             {value.id, value.name, value.collection, value.active, text_of(model::to_json(value)),
              m.by().at});
    m.before(model::to_json(now->value));
    m.after(model::to_json(value));
    m.version(now->version + 1);
    announce(m, "service", value, "updated");
    return expect_one(changed, "service");
  });
}

result<outcome> store::delete_service(const change_context& by,
                                      cluster_id in,
                                      service_id id,
                                      std::optional<std::uint64_t> expected) {
  const change_plan plan{.in = in, .action = "service.delete", .revises = true};
  return change(by, plan, [&](mutation& m) -> result<void> {
    const auto now = current(m, in, id, expected);
    if (!now)
      return tl::unexpected(now.error());
    const auto used = m.exec("SELECT DISTINCT m.id, m.name FROM mapping_services u "
                             "JOIN mappings m ON m.id = u.mapping_id "
                             "WHERE u.service_id = $1 ORDER BY m.id LIMIT 20",
                             {id});
    if (!used)
      return tl::unexpected(used.error());
    if (!used->empty())
      return fail(errc::conflict, "the service is used by mappings " + listing(*used));
    const auto routes = m.exec("SELECT r.id, r.name FROM ingress_route_services u "
                               "JOIN ingress_routes r ON r.id = u.route_id "
                               "WHERE u.service_id = $1 ORDER BY r.id LIMIT 20",
                               {id});
    if (!routes)
      return tl::unexpected(routes.error());
    if (!routes->empty())
      return fail(errc::conflict, "the service is used by ingress routes " + listing(*routes));
    m.before(model::to_json(now->value));
    announce(m, "service", now->value, "deleted");
    return expect_one(m.exec("DELETE FROM services WHERE id = $1", {id}), "service");
  });
}

} // namespace marchproxy::storage

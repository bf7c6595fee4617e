// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/digest.hpp"
#include "actors/storage/references.hpp"
#include "actors/storage/resource_rows.hpp"
#include "actors/storage/ruleset_reader.hpp"
#include "actors/storage/store.hpp"

#include <algorithm>
#include <set>

namespace marchproxy::storage {

namespace {

using model::ingress_route;
using model::ingress_route_id;

result<stored<ingress_route>>
current(mutation& m, cluster_id in, ingress_route_id id, std::optional<std::uint64_t> expected) {
  return of_version(
    only_stored(m.exec("SELECT id, body, version, created_at, updated_at FROM ingress_routes "
                       "WHERE cluster_id = $1 AND id = $2",
                       {in, id}),
                in, ingress_route_from, "ingress route"),
    expected);
}

/// A TCP route has its port to itself; HTTP routes share one, each with another host, path or
/// conditions on headers. Those that are active all speak TLS there, or none: a connection shows
/// its first bytes before it is known which route it is for.
result<void> check_place(mutation& m, const ingress_route& value) {
  const auto taken =
    m.exec("SELECT id, name, protocol, host, path, path_match, body FROM ingress_routes "
           "WHERE cluster_id = $1 AND id <> $2 AND (name = $3 OR listen_port = $4) ORDER BY id",
           {value.cluster, value.id, value.name, value.listen_port});
  if (!taken)
    return tl::unexpected(taken.error());
  for (const auto& one : taken->list) {
    if (one.text(1) == value.name)
      return fail(errc::conflict, "an ingress route of that name exists");
    const auto other =
      "ingress route " + std::to_string(one.number(0)) + " \"" + one.text(1) + "\"";
    const auto port = "port " + std::to_string(value.listen_port);
    if (one.text(2) == "tcp" || value.protocol == model::route_protocol::tcp)
      return fail(errc::conflict, port + " is taken by " + other);
    const auto there = ingress_route_from(one.text(6), value.cluster, one.id<ingress_route_id>(0));
    if (!there)
      return tl::unexpected(there.error());
    if (one.text(3) == value.host && one.text(4) == value.path
        && one.text(5) == to_string(value.match) && there->headers == value.headers)
      return fail(errc::conflict, other + " has that host and path on " + port
                                    + (value.headers.empty() ? "" : ", and these headers"));
    if (value.active && there->active && there->tls.has_value() != value.tls.has_value())
      return fail_field("tls", port + " is served " + (there->tls ? "with" : "without")
                                 + " TLS, by " + other
                                 + ": the active routes of a port agree on it");
  }
  return {};
}

/// A backend may have been deleted or changed since the route was parsed.
result<void> check_backends(mutation& m, const ingress_route& value) {
  for (std::size_t i = 0; i < value.backends.size(); ++i) {
    const auto& backend = value.backends[i];
    const auto field = "backends[" + std::to_string(i) + "]";
    const auto found = m.exec("SELECT body FROM services WHERE cluster_id = $1 AND id = $2",
                              {value.cluster, backend.service});
    if (!found)
      return tl::unexpected(found.error());
    if (found->empty())
      return fail_field(field, "no service " + std::to_string(backend.service.value));
    const auto service = service_from(found->front().text(0), value.cluster, backend.service);
    if (!service)
      return tl::unexpected(service.error());
    if (!model::is_single_host(service->address)
        || (backend.port == 0 && !model::only_port(service->ports)))
      return fail_field(field, "the service is not at one address and port any more");
  }
  return {};
}

result<void> check(mutation& m, const ingress_route& value) {
  return check_place(m, value).and_then([&] { return check_backends(m, value); });
}

} // namespace

std::string conditions_text(const ingress_route& value) {
  return value.headers.empty() ? std::string{}
                               : crypto::sha256_hex(text_of(model::to_json(value)["headers"]));
}

result<void> write_route_services(mutation& m, const ingress_route& value) {
  const auto cleared = m.exec("DELETE FROM ingress_route_services WHERE route_id = $1", {value.id});
  if (!cleared)
    return tl::unexpected(cleared.error());
  std::set<service_id> services; // two backends may be one service's ports
  for (const auto& one : value.backends)
    services.insert(one.service);
  for (const auto service : services) {
    const auto made =
      m.exec("INSERT INTO ingress_route_services (route_id, service_id) VALUES ($1, $2)",
             {value.id, service});
    if (!made)
      return tl::unexpected(made.error());
  }
  return {};
}

result<outcome> store::create_ingress_route(const change_context& by,
                                            const model::ingress_route& value) {
  const change_plan plan{.in = value.cluster, .action = "ingress_route.create", .revises = true};
  return change(by, plan, [&](mutation& m) -> result<void> {
    auto fresh = value;
    fresh.id = {};
    if (auto good = check(m, fresh); !good)
      return good;
    const auto made =
      m.exec("INSERT INTO ingress_routes (cluster_id, name, protocol, listen_port, host, path, "
             "path_match, conditions, active, body, created_at, updated_at) "
             "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) RETURNING id",
             {fresh.cluster, fresh.name, to_string(fresh.protocol), fresh.listen_port, fresh.host,
              fresh.path, to_string(fresh.match), conditions_text(fresh), fresh.active,
              text_of(model::to_json(fresh)), m.by().at});
    if (!made)
      return tl::unexpected(made.error());
    fresh.id = made->front().id<model::ingress_route_id>(0);
    m.after(model::to_json(fresh));
    m.version(1);
    announce(m, "ingress_route", fresh, "created");
    return write_route_services(m, fresh);
  });
}

result<stored<model::ingress_route>> store::ingress_route(cluster_id in,
                                                          model::ingress_route_id id) {
  return only_stored(query("SELECT id, body, version, created_at, updated_at FROM ingress_routes "
                           "WHERE cluster_id = $1 AND id = $2",
                           {in, id}),
                     in, ingress_route_from, "ingress route");
}

result<page<stored<model::ingress_route>>>
store::ingress_routes(cluster_id in, const std::optional<std::string>& name, page_request which) {
  const auto limit = clamp_limit(which.limit);
  const auto found = query("SELECT id, body, version, created_at, updated_at FROM ingress_routes "
                           "WHERE cluster_id = $1 AND id > $2 "
                           "AND (CAST($3 AS TEXT) IS NULL OR name = CAST($3 AS TEXT)) "
                           "ORDER BY id LIMIT $4",
                           {in, which.after, name, limit + 1});
  if (!found)
    return tl::unexpected(found.error());
  return page_of<stored<model::ingress_route>>(*found, limit, [&](const row& columns) {
    return read_stored(columns, in, ingress_route_from);
  });
}

result<outcome> store::update_ingress_route(const change_context& by,
                                            const model::ingress_route& value,
                                            std::optional<std::uint64_t> expected) {
  const change_plan plan{.in = value.cluster, .action = "ingress_route.update", .revises = true};
  return change(by, plan, [&](mutation& m) -> result<void> {
    const auto now = current(m, value.cluster, value.id, expected);
    if (!now)
      return tl::unexpected(now.error());
    if (auto good = check(m, value); !good)
      return good;
    const auto changed = m.exec(
      "UPDATE ingress_routes SET name = $2, protocol = $3, listen_port = $4, host = $5, "
      "path = $6, path_match = $7, conditions = $8, active = $9, body = $10, updated_at = $11, "
      "version = version + 1 WHERE id = $1",
      {value.id, value.name, to_string(value.protocol), value.listen_port, value.host, value.path,
       to_string(value.match), conditions_text(value), value.active, text_of(model::to_json(value)),
       m.by().at});
    if (auto one = expect_one(changed, "ingress route"); !one)
      return one;
    m.before(model::to_json(now->value));
    m.after(model::to_json(value));
    m.version(now->version + 1);
    announce(m, "ingress_route", value, "updated");
    return write_route_services(m, value);
  });
}

result<outcome> store::delete_ingress_route(const change_context& by,
                                            cluster_id in,
                                            model::ingress_route_id id,
                                            std::optional<std::uint64_t> expected) {
  const change_plan plan{.in = in, .action = "ingress_route.delete", .revises = true};
  return change(by, plan, [&](mutation& m) -> result<void> {
    const auto now = current(m, in, id, expected);
    if (!now)
      return tl::unexpected(now.error());
    m.before(model::to_json(now->value));
    announce(m, "ingress_route", now->value, "deleted");
    return expect_one(m.exec("DELETE FROM ingress_routes WHERE id = $1", {id}), "ingress route");
  });
}

} // namespace marchproxy::storage

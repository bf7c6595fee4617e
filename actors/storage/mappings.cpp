// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/references.hpp"
#include "actors/storage/resource_rows.hpp"
#include "actors/storage/ruleset_reader.hpp"
#include "actors/storage/store.hpp"

namespace marchproxy::storage {

namespace {

result<stored<model::mapping>>
current(mutation& m, cluster_id in, mapping_id id, std::optional<std::uint64_t> expected) {
  return of_version(
    only_stored(m.exec("SELECT id, body, version, created_at, updated_at FROM mappings "
                       "WHERE cluster_id = $1 AND id = $2",
                       {in, id}),
                in, mapping_from, "mapping"),
    expected);
}

/// The service may have been deleted, or may be another cluster's, since the mapping was parsed.
result<void> check_services(mutation& m,
                            cluster_id in,
                            const std::vector<model::selector>& side,
                            std::string_view field) {
  for (std::size_t i = 0; i < side.size(); ++i) {
    const auto* id = std::get_if<service_id>(&side[i]);
    if (id == nullptr)
      continue;
    const auto found =
      m.exec("SELECT 1 FROM services WHERE cluster_id = $1 AND id = $2", {in, *id});
    if (!found)
      return tl::unexpected(found.error());
    if (found->empty())
      return fail_field(std::string(field) + "[" + std::to_string(i) + "]",
                        "no service " + std::to_string(id->value));
  }
  return {};
}

result<void> write_checked(mutation& m, const model::mapping& value) {
  return check_services(m, value.cluster, value.sources, "sources")
    .and_then([&] { return check_services(m, value.cluster, value.destinations, "destinations"); })
    .and_then([&] { return write_mapping_services(m, value); });
}

} // namespace

result<void> write_mapping_services(mutation& m, const model::mapping& value) {
  const auto cleared = m.exec("DELETE FROM mapping_services WHERE mapping_id = $1", {value.id});
  if (!cleared)
    return tl::unexpected(cleared.error());
  const auto write = [&](const std::vector<model::selector>& side,
                         std::string_view name) -> result<void> {
    for (const auto& one : side) {
      const auto* id = std::get_if<service_id>(&one);
      if (id == nullptr)
        continue;
      const auto made =
        m.exec("INSERT INTO mapping_services (mapping_id, service_id, side) VALUES ($1, $2, $3)",
               {value.id, *id, name});
      if (!made)
        return tl::unexpected(made.error());
    }
    return {};
  };
  return write(value.sources, "source").and_then([&] {
    return write(value.destinations, "destination");
  });
}

result<outcome> store::create_mapping(const change_context& by, const model::mapping& value) {
  const change_plan plan{.in = value.cluster, .action = "mapping.create", .revises = true};
  return change(by, plan, [&](mutation& m) -> result<void> {
    auto fresh = value;
    fresh.id = {};
    const auto made =
      m.exec("INSERT INTO mappings (cluster_id, name, active, body, created_at, updated_at) "
             "VALUES ($1, $2, $3, $4, $5, $5) RETURNING id",
             {fresh.cluster, fresh.name, fresh.active, text_of(model::to_json(fresh)), m.by().at});
    if (!made)
      return tl::unexpected(made.error());
    fresh.id = made->front().id<mapping_id>(0);
    m.after(model::to_json(fresh));
    m.version(1);
    announce(m, "mapping", fresh, "created");
    return write_checked(m, fresh);
  });
}

result<stored<model::mapping>> store::mapping(cluster_id in, mapping_id id) {
  return only_stored(query("SELECT id, body, version, created_at, updated_at FROM mappings "
                           "WHERE cluster_id = $1 AND id = $2",
                           {in, id}),
                     in, mapping_from, "mapping");
}

result<page<stored<model::mapping>>>
store::mappings(cluster_id in, const mapping_filter& filter, page_request which) {
  const auto limit = clamp_limit(which.limit);
  const auto found =
    query("SELECT id, body, version, created_at, updated_at FROM mappings "
          "WHERE cluster_id = $1 AND id > $2 "
          "AND (CAST($3 AS TEXT) IS NULL OR name = CAST($3 AS TEXT)) "
          "AND (CAST($4 AS BIGINT) IS NULL OR EXISTS (SELECT 1 FROM mapping_services u "
          "WHERE u.mapping_id = mappings.id AND u.service_id = CAST($4 AS BIGINT))) "
          "ORDER BY id LIMIT $5",
          {in, which.after, filter.name, filter.service, limit + 1});
  if (!found)
    return tl::unexpected(found.error());
  return page_of<stored<model::mapping>>(
    *found, limit, [&](const row& columns) { return read_stored(columns, in, mapping_from); });
}

result<outcome> store::update_mapping(const change_context& by,
                                      const model::mapping& value,
                                      std::optional<std::uint64_t> expected) {
  const change_plan plan{.in = value.cluster, .action = "mapping.update", .revises = true};
  return change(by, plan, [&](mutation& m) -> result<void> {
    const auto now = current(m, value.cluster, value.id, expected);
    if (!now)
      return tl::unexpected(now.error());
    const auto changed =
      m.exec("UPDATE mappings SET name = $2, active = $3, body = $4, updated_at = $5, "
             "version = version + 1 WHERE id = $1",
             {value.id, value.name, value.active, text_of(model::to_json(value)), m.by().at});
    if (auto one = expect_one(changed, "mapping"); !one)
      return one;
    m.before(model::to_json(now->value));
    m.after(model::to_json(value));
    m.version(now->version + 1);
    announce(m, "mapping", value, "updated");
    return write_checked(m, value);
  });
}

result<outcome> store::delete_mapping(const change_context& by,
                                      cluster_id in,
                                      mapping_id id,
                                      std::optional<std::uint64_t> expected) {
  const change_plan plan{.in = in, .action = "mapping.delete", .revises = true};
  return change(by, plan, [&](mutation& m) -> result<void> {
    const auto now = current(m, in, id, expected);
    if (!now)
      return tl::unexpected(now.error());
    m.before(model::to_json(now->value));
    announce(m, "mapping", now->value, "deleted");
    return expect_one(m.exec("DELETE FROM mappings WHERE id = $1", {id}), "mapping");
  });
}

result<std::unique_ptr<model::service_directory>> store::directory(cluster_id in) {
  const auto found = query("SELECT id, body FROM services WHERE cluster_id = $1", {in});
  if (!found)
    return tl::unexpected(found.error());
  std::vector<model::service> services;
  services.reserve(found->list.size());
  for (const auto& one : found->list) {
    auto value = service_from(one.text(1), in, one.id<service_id>(0));
    if (!value)
      return tl::unexpected(value.error());
    services.push_back(std::move(*value));
  }
  return directory_of(services);
}

} // namespace marchproxy::storage

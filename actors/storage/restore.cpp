// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/references.hpp"
#include "actors/storage/ruleset_reader.hpp"
#include "actors/storage/store.hpp"

#include <map>

namespace marchproxy::storage {

namespace {

using birthdays = std::map<std::uint64_t, time_point>;

result<birthdays> birthdays_of(const result<rows>& found) {
  if (!found)
    return tl::unexpected(found.error());
  birthdays out;
  for (const auto& one : found->list)
    out.emplace(one.number(0), one.time(1));
  return out;
}

time_point born(const birthdays& known, std::uint64_t id, time_point otherwise) {
  const auto found = known.find(id);
  return found == known.end() ? otherwise : found->second;
}

result<void> clear(mutation& m, cluster_id in) {
  // Their credentials and references go with them.
  return m.exec("DELETE FROM ingress_routes WHERE cluster_id = $1", {in})
    .and_then(
      [&](const rows&) { return m.exec("DELETE FROM mappings WHERE cluster_id = $1", {in}); })
    .and_then(
      [&](const rows&) { return m.exec("DELETE FROM services WHERE cluster_id = $1", {in}); })
    .map([](const rows&) {});
}

/// Rows get the new revision's number as their version: it is larger than any version they had,
/// since each version came with a revision, so no If-Match from before holds.
result<void> write_services(mutation& m, const model::ruleset& rules, const birthdays& known) {
  for (const auto& one : rules.services) {
    const auto made = m.exec(
      "INSERT INTO services (id, cluster_id, name, collection, active, body, version, "
      "created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
      {one.id, rules.cluster, one.name, one.collection, one.active, text_of(model::to_json(one)),
       m.revision(), born(known, one.id.value, m.by().at), m.by().at});
    if (!made)
      return tl::unexpected(made.error());
  }
  return {};
}

result<void> write_mappings(mutation& m, const model::ruleset& rules, const birthdays& known) {
  for (const auto& one : rules.mappings) {
    const auto made = m.exec(
      "INSERT INTO mappings (id, cluster_id, name, active, body, version, created_at, updated_at) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
      {one.id, rules.cluster, one.name, one.active, text_of(model::to_json(one)), m.revision(),
       born(known, one.id.value, m.by().at), m.by().at});
    if (!made)
      return tl::unexpected(made.error());
    if (auto referred = write_mapping_services(m, one); !referred)
      return referred;
  }
  return {};
}

result<void>
write_ingress_routes(mutation& m, const model::ruleset& rules, const birthdays& known) {
  for (const auto& one : rules.ingress_routes) {
    const auto made =
      m.exec("INSERT INTO ingress_routes (id, cluster_id, name, protocol, listen_port, host, path, "
             "path_match, conditions, active, body, version, created_at, updated_at) "
             "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
             {one.id, rules.cluster, one.name, to_string(one.protocol), one.listen_port, one.host,
              one.path, to_string(one.match), conditions_text(one), one.active,
              text_of(model::to_json(one)), m.revision(), born(known, one.id.value, m.by().at),
              m.by().at});
    if (!made)
      return tl::unexpected(made.error());
    if (auto referred = write_route_services(m, one); !referred)
      return referred;
  }
  return {};
}

/// Of the cluster's settings only what decides traffic is of a revision.
result<void> write_observe(mutation& m, const model::ruleset& rules) {
  const auto found = m.exec("SELECT body FROM clusters WHERE id = $1", {rules.cluster});
  if (!found)
    return tl::unexpected(found.error());
  auto settings = cluster_from(found->front().text(0), rules.cluster);
  if (!settings)
    return tl::unexpected(settings.error());
  if (settings->observe == rules.observe)
    return {};
  settings->observe = rules.observe;
  return m
    .exec("UPDATE clusters SET body = $2, updated_at = $3, version = version + 1 WHERE id = $1",
          {rules.cluster, text_of(model::to_json(*settings)), m.by().at})
    .map([](const rows&) {});
}

result<void> write_credentials(mutation& m, const model::ruleset& rules) {
  for (const auto& one : rules.credentials) {
    const auto verifier = verifier_of(one, m.key());
    const auto made =
      m.exec("INSERT INTO credentials (service_id, id, kind, algorithm, verifier, sealed, "
             "expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
             {one.service, one.id, model::to_string(one.kind), one.algorithm, verifier.bytes,
              verifier.sealed, one.expires_at, m.by().at});
    if (!made)
      return tl::unexpected(made.error());
  }
  return {};
}

} // namespace

result<outcome>
store::restore(const change_context& by, cluster_id in, marchproxy::revision number) {
  const auto bytes = content(in, number);
  if (!bytes)
    return tl::unexpected(bytes.error());
  const auto rules = model::decode_ruleset(*bytes);
  if (!rules)
    return tl::unexpected(rules.error());
  const change_plan plan{.in = in, .action = "revision.restore", .revises = true};
  return change(by, plan, [&](mutation& m) -> result<void> {
    const auto services =
      birthdays_of(m.exec("SELECT id, created_at FROM services WHERE cluster_id = $1", {in}));
    if (!services)
      return tl::unexpected(services.error());
    const auto mappings =
      birthdays_of(m.exec("SELECT id, created_at FROM mappings WHERE cluster_id = $1", {in}));
    if (!mappings)
      return tl::unexpected(mappings.error());
    const auto routes =
      birthdays_of(m.exec("SELECT id, created_at FROM ingress_routes WHERE cluster_id = $1", {in}));
    if (!routes)
      return tl::unexpected(routes.error());
    m.about("revision", number.value, "");
    m.after({{"restored", number.value}});
    return clear(m, in)
      .and_then([&] { return write_services(m, *rules, *services); })
      .and_then([&] { return write_mappings(m, *rules, *mappings); })
      .and_then([&] { return write_credentials(m, *rules); })
      .and_then([&] { return write_ingress_routes(m, *rules, *routes); })
      .and_then([&] { return write_observe(m, *rules); });
  });
}

} // namespace marchproxy::storage

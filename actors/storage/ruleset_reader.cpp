// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/ruleset_reader.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <set>

namespace marchproxy::storage {

namespace {

/// For mappings and ingress routes that are read back: what they name was checked when they were
/// stored, and services may have changed since in ways that the mapping outlives (a collection that
/// lost its last member).
class trusting_directory final : public model::service_directory {
public:
  [[nodiscard]] std::optional<service_id> find_by_name(std::string_view) const override {
    return std::nullopt; // stored mappings name services by id
  }
  [[nodiscard]] bool exists(service_id) const override { return true; }
  [[nodiscard]] bool collection_exists(std::string_view) const override { return true; }
  [[nodiscard]] std::optional<model::service_address> address_of(service_id) const override {
    return model::service_address(make_prefix(ip_address::v4(0), 32));
  }
  [[nodiscard]] model::port_set ports_of(service_id) const override {
    return model::port_set{{{1, 1}}};
  }
};

class listed_directory final : public model::service_directory {
public:
  explicit listed_directory(const std::vector<model::service>& services) {
    for (const auto& one : services) {
      names_.emplace(one.name, one.id);
      places_.emplace(one.id, place{one.address, one.ports});
      if (!one.collection.empty())
        collections_.insert(one.collection);
    }
  }
  [[nodiscard]] std::optional<service_id> find_by_name(std::string_view name) const override {
    const auto found = names_.find(name);
    return found == names_.end() ? std::nullopt : std::optional(found->second);
  }
  [[nodiscard]] bool exists(service_id id) const override { return places_.contains(id); }
  [[nodiscard]] bool collection_exists(std::string_view name) const override {
    return collections_.contains(name);
  }
  [[nodiscard]] std::optional<model::service_address> address_of(service_id id) const override {
    const auto found = places_.find(id);
    return found == places_.end() ? std::nullopt : std::optional(found->second.address);
  }
  [[nodiscard]] model::port_set ports_of(service_id id) const override {
    const auto found = places_.find(id);
    return found == places_.end() ? model::port_set{} : found->second.ports;
  }

private:
  struct place {
    model::service_address address;
    model::port_set ports;
  };
  std::map<std::string, service_id, std::less<>> names_;
  std::map<service_id, place> places_;
  std::set<std::string, std::less<>> collections_;
};

tl::unexpected<error> damaged(std::string_view what, std::uint64_t id, const error& why) {
  return fail(errc::corrupt,
              "stored " + std::string(what) + " " + std::to_string(id) + ": " + to_string(why));
}

nlohmann::json parsed(const std::string& body) {
  return nlohmann::json::parse(body, nullptr, false);
}

std::string verifier_place(service_id of, std::string_view id) {
  return "credentials.verifier/" + std::to_string(of.value) + "/" + std::string(id);
}

result<void> read_services(transaction& tx, model::ruleset& into) {
  const auto found =
    tx.exec("SELECT id, body FROM services WHERE cluster_id = $1 ORDER BY id", {into.cluster});
  if (!found)
    return tl::unexpected(found.error());
  into.services.reserve(found->list.size());
  for (const auto& one : found->list) {
    auto value = service_from(one.text(1), into.cluster, one.id<service_id>(0));
    if (!value)
      return tl::unexpected(value.error());
    into.services.push_back(std::move(*value));
  }
  return {};
}

result<void> read_mappings(transaction& tx, model::ruleset& into) {
  const auto found =
    tx.exec("SELECT id, body FROM mappings WHERE cluster_id = $1 ORDER BY id", {into.cluster});
  if (!found)
    return tl::unexpected(found.error());
  into.mappings.reserve(found->list.size());
  for (const auto& one : found->list) {
    auto value = mapping_from(one.text(1), into.cluster, one.id<mapping_id>(0));
    if (!value)
      return tl::unexpected(value.error());
    into.mappings.push_back(std::move(*value));
  }
  return {};
}

result<void> read_ingress_routes(transaction& tx, model::ruleset& into) {
  const auto found = tx.exec(
    "SELECT id, body FROM ingress_routes WHERE cluster_id = $1 ORDER BY id", {into.cluster});
  if (!found)
    return tl::unexpected(found.error());
  for (const auto& one : found->list) {
    auto value = ingress_route_from(one.text(1), into.cluster, one.id<model::ingress_route_id>(0));
    if (!value)
      return tl::unexpected(value.error());
    into.ingress_routes.push_back(std::move(*value));
  }
  return {};
}

result<void>
read_credentials(transaction& tx, const crypto::sealing_key& key, model::ruleset& into) {
  const auto found =
    tx.exec("SELECT c.service_id, c.id, c.kind, c.algorithm, c.verifier, c.sealed, c.expires_at "
            "FROM credentials c JOIN services s ON s.id = c.service_id WHERE s.cluster_id = $1",
            {into.cluster});
  if (!found)
    return tl::unexpected(found.error());
  for (const auto& one : found->list) {
    auto value = credential_from(one, key);
    if (!value)
      return tl::unexpected(value.error());
    into.credentials.push_back(std::move(*value));
  }
  // Here and not in SQL: databases collate text as they are set up, the canonical order is by
  // bytes.
  std::sort(into.credentials.begin(), into.credentials.end(), [](const auto& a, const auto& b) {
    return std::tie(a.service, a.id) < std::tie(b.service, b.id);
  });
  return {};
}

} // namespace

result<model::cluster> cluster_from(const std::string& body, cluster_id id) {
  auto value = model::parse_cluster(parsed(body));
  if (!value)
    return damaged("cluster", id.value, value.error());
  value->id = id;
  return value;
}

result<model::service> service_from(const std::string& body, cluster_id in, service_id id) {
  auto value = model::parse_service(parsed(body));
  if (!value)
    return damaged("service", id.value, value.error());
  value->id = id;
  value->cluster = in;
  return value;
}

result<model::mapping> mapping_from(const std::string& body, cluster_id in, mapping_id id) {
  static const trusting_directory trust;
  auto value = model::parse_mapping(parsed(body), trust);
  if (!value)
    return damaged("mapping", id.value, value.error());
  value->id = id;
  value->cluster = in;
  return value;
}

result<model::ingress_route>
ingress_route_from(const std::string& body, cluster_id in, model::ingress_route_id id) {
  static const trusting_directory trust;
  auto value = model::parse_ingress_route(parsed(body), trust);
  if (!value)
    return damaged("ingress route", id.value, value.error());
  value->id = id;
  value->cluster = in;
  return value;
}

result<model::credential> credential_from(const row& columns, const crypto::sealing_key& key) {
  model::credential out;
  out.service = columns.id<service_id>(0);
  out.id = columns.text(1);
  out.kind = columns.text(2) == "jwt" ? model::auth_type::jwt : model::auth_type::base64;
  out.algorithm = columns.text(3);
  if (columns.flag(5)) {
    const auto opened = crypto::open(key, columns.bytes(4), verifier_place(out.service, out.id));
    if (!opened)
      return tl::unexpected(opened.error());
    out.verifier = std::string(opened->expose());
  } else {
    out.verifier = columns.bytes(4);
  }
  if (!columns.null(6))
    out.expires_at = columns.integer(6);
  return out;
}

stored_verifier verifier_of(const model::credential& value, const crypto::sealing_key& key) {
  if (value.algorithm != "HS256")
    return {blob{value.verifier}, false};
  return {blob{crypto::seal(key, value.verifier, verifier_place(value.service, value.id))}, true};
}

result<model::ruleset>
read_ruleset(transaction& tx, cluster_id in, const crypto::sealing_key& key) {
  const auto head = tx.exec("SELECT name, revision, body FROM clusters WHERE id = $1", {in});
  if (!head)
    return tl::unexpected(head.error());
  if (head->empty())
    return fail(errc::not_found, "no such cluster");
  const auto settings = cluster_from(head->front().text(2), in);
  if (!settings)
    return tl::unexpected(settings.error());
  model::ruleset out;
  out.cluster = in;
  out.observe = settings->observe;
  out.cluster_name = head->front().text(0);
  out.revision = head->front().id<marchproxy::revision>(1);
  const auto done = read_services(tx, out)
                      .and_then([&] { return read_mappings(tx, out); })
                      .and_then([&] { return read_credentials(tx, key, out); })
                      .and_then([&] { return read_ingress_routes(tx, out); });
  if (!done)
    return tl::unexpected(done.error());
  return out;
}

std::unique_ptr<model::service_directory>
directory_of(const std::vector<model::service>& services) {
  return std::make_unique<listed_directory>(services);
}

} // namespace marchproxy::storage

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/trust.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace marchproxy::bus {
namespace {

using nlohmann::json;

constexpr int format_version = 1;

std::string seed_text(const nkey& key) {
  return std::string{key.seed().expose()};
}

/// nlohmann's at() and get() throw; from_json catches that once, at the boundary.
nkey read_key(const json& object, const char* name, nkey_kind kind) {
  auto text = object.at(name).get<std::string>();
  auto key = nkey::from_seed(crypto::secret::take(text));
  if (!key || key->kind() != kind)
    throw json::other_error::create(501, std::string{"not a seed: "} + name, nullptr);
  return std::move(*key);
}

time_point read_time(const json& value) {
  const auto at = parse_time(value.get<std::string>());
  if (!at)
    throw json::other_error::create(501, "not a time", nullptr);
  return *at;
}

json write_cluster(cluster_id id, const cluster_trust& cluster) {
  json object{{"id", id.value},
              {"name", cluster.name},
              {"account", seed_text(cluster.account)},
              {"signing_keys", json::object()},
              {"join_keys", json::array()},
              {"revocations", json::object()}};
  for (const auto& [who, key] : cluster.signing_keys)
    object["signing_keys"][std::string{to_string(who)}] = seed_text(key);
  for (const auto& key : cluster.join_keys)
    object["join_keys"].push_back(
      {{"id", key.id}, {"public_key", key.public_key}, {"added", format_time(key.added)}});
  for (const auto& [user, at] : cluster.revocations)
    object["revocations"][user] = format_time(at);
  return object;
}

cluster_trust read_cluster(const json& object) {
  cluster_trust cluster{object.at("name").get<std::string>(),
                        read_key(object, "account", nkey_kind::account),
                        {},
                        {},
                        {}};
  const auto& signing = object.at("signing_keys");
  for (const auto& rights : roles())
    if (rights.who != role::join)
      cluster.signing_keys.emplace(
        rights.who, read_key(signing, std::string{rights.name}.c_str(), nkey_kind::account));
  for (const auto& key : object.at("join_keys"))
    cluster.join_keys.push_back({key.at("id").get<std::string>(),
                                 key.at("public_key").get<std::string>(),
                                 read_time(key.at("added"))});
  for (const auto& [user, at] : object.at("revocations").items())
    cluster.revocations.emplace(user, read_time(at));
  return cluster;
}

} // namespace

crypto::secret trust::to_json() const {
  json object{{"version", format_version},
              {"operator", seed_text(operator_)},
              {"system", seed_text(system_)},
              {"management", seed_text(management_)},
              {"clusters", json::array()}};
  for (const auto& [id, cluster] : clusters_)
    object["clusters"].push_back(write_cluster(id, cluster));
  auto text = object.dump();
  return crypto::secret::take(text);
}

result<trust> trust::from_json(const crypto::secret& text) {
  const auto bytes = text.expose();
  const auto object = json::parse(bytes.begin(), bytes.end(), nullptr, false);
  try {
    if (object.at("version").get<int>() != format_version)
      return fail(errc::corrupt, "the keyring is of another version");
    trust read{read_key(object, "operator", nkey_kind::deployment),
               read_key(object, "system", nkey_kind::account),
               read_key(object, "management", nkey_kind::account)};
    for (const auto& cluster : object.at("clusters"))
      read.clusters_.emplace(cluster_id{cluster.at("id").get<std::uint64_t>()},
                             read_cluster(cluster));
    return read;
  } catch (const json::exception&) {
    // Without what(): it may quote a seed.
    return fail(errc::corrupt, "the keyring is not what this version writes");
  }
}

} // namespace marchproxy::bus

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/trust.hpp"

#include "actors/bus/jwt.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace marchproxy::bus {
namespace {

using nlohmann::json;

json account_limits() {
  // Leaf nodes and bearer tokens would go round the user's own key. JetStream in files only: what
  // is acknowledged has to survive. Bounds on size belong to the streams.
  return {{"subs", -1},
          {"data", -1},
          {"payload", -1},
          {"imports", 0},
          {"exports", 0},
          {"wildcards", true},
          {"conn", -1},
          {"leaf", 0},
          {"mem_storage", 0},
          {"disk_storage", -1},
          {"streams", 16},
          {"consumer", 1000},
          {"disallow_bearer", true}};
}

json system_limits() {
  auto limits = account_limits();
  limits["disk_storage"] = 0;
  limits["streams"] = 0;
  limits["consumer"] = 0;
  return limits;
}

/// A user whose own JWT carries its rights: for accounts without scoped keys.
json unscoped_user(json rights) {
  rights["type"] = "user";
  rights["subs"] = -1;
  rights["data"] = -1;
  rights["payload"] = -1;
  return rights;
}

bool names_a_consumer(std::string_view name) {
  constexpr std::string_view allowed =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  return !name.empty() && name.size() <= 64
         && name.find_first_not_of(allowed) == std::string_view::npos;
}

std::string id_of(const std::string& public_key) {
  return public_key.substr(0, 12);
}

} // namespace

trust::trust(nkey operator_key, nkey system, nkey management)
  : operator_{std::move(operator_key)},
    system_{std::move(system)},
    management_{std::move(management)} {}

trust trust::create() {
  return {nkey::generate(nkey_kind::deployment), nkey::generate(nkey_kind::account),
          nkey::generate(nkey_kind::account)};
}

result<void> trust::add_cluster(cluster_id id, std::string name) {
  for (const auto& [other, cluster] : clusters_)
    if (other == id || cluster.name == name)
      return fail(errc::conflict, "the keyring has a cluster of this id or name");
  cluster_trust cluster{std::move(name), nkey::generate(nkey_kind::account), {}, {}, {}};
  for (const auto& rights : roles())
    if (rights.who != role::join)
      cluster.signing_keys.emplace(rights.who, nkey::generate(nkey_kind::account));
  clusters_.emplace(id, std::move(cluster));
  return {};
}

result<std::string> trust::remove_cluster(cluster_id id) {
  const auto cluster = find(id);
  if (!cluster)
    return tl::unexpected(cluster.error());
  auto account = (*cluster)->account.public_key();
  clusters_.erase(id);
  return account;
}

result<const cluster_trust*> trust::find(cluster_id id) const {
  const auto found = clusters_.find(id);
  if (found == clusters_.end())
    return fail(errc::not_found, "the keyring has no such cluster");
  return &found->second;
}

result<cluster_trust*> trust::find_mutable(cluster_id id) {
  const auto found = clusters_.find(id);
  if (found == clusters_.end())
    return fail(errc::not_found, "the keyring has no such cluster");
  return &found->second;
}

result<trust::issued_join_key> trust::issue_join_key(cluster_id id, time_point now) {
  const auto cluster = find(id);
  if (!cluster)
    return tl::unexpected(cluster.error());
  auto key = generate_cluster_api_key((*cluster)->name, (*cluster)->account.public_key());
  auto entry = add_join_key(id, join_public_key(key), now);
  if (!entry)
    return tl::unexpected(entry.error());
  return issued_join_key{std::move(*entry), std::move(key)};
}

result<join_key> trust::add_join_key(cluster_id id, std::string public_key, time_point now) {
  auto cluster = find_mutable(id);
  if (!cluster)
    return tl::unexpected(cluster.error());
  if (!parse_public_nkey(nkey_kind::account, public_key))
    return fail_field("public_key", "not a public account nkey");
  auto& keys = (*cluster)->join_keys;
  if (std::any_of(keys.begin(), keys.end(),
                  [&](const auto& key) { return key.id == id_of(public_key); }))
    return fail(errc::conflict, "this cluster key is in use already");
  if (keys.size() >= max_join_keys)
    return fail(errc::conflict, "two cluster keys are in use: remove the old one first");
  auto id_text = id_of(public_key);
  return keys.emplace_back(join_key{std::move(id_text), std::move(public_key), now});
}

result<void> trust::remove_join_key(cluster_id id, std::string_view join_key_id) {
  auto cluster = find_mutable(id);
  if (!cluster)
    return tl::unexpected(cluster.error());
  if (std::erase_if((*cluster)->join_keys, [&](const auto& key) { return key.id == join_key_id; })
      == 0)
    return fail(errc::not_found, "the cluster has no such key");
  return {};
}

result<void> trust::revoke(cluster_id id, const std::string& user_key, time_point at) {
  auto cluster = find_mutable(id);
  if (!cluster)
    return tl::unexpected(cluster.error());
  if (!parse_public_nkey(nkey_kind::user, user_key))
    return fail_field("user", "not a public user nkey");
  auto& until = (*cluster)->revocations[user_key];
  until = std::max(until, at);
  return {};
}

std::string trust::operator_jwt(time_point now) const {
  return mint_jwt(operator_, {operator_.public_key(), "MarchProxy", now},
                  {{"type", "operator"}, {"system_account", system_.public_key()}});
}

std::string trust::system_account_jwt(time_point now) const {
  auto limits = system_limits();
  limits["exports"] = -1;
  return mint_jwt(operator_, {system_.public_key(), "SYS", now},
                  {{"type", "account"}, {"limits", std::move(limits)}});
}

std::string trust::management_account_jwt(time_point now) const {
  return mint_jwt(operator_, {management_.public_key(), "MGMT", now},
                  {{"type", "account"}, {"limits", account_limits()}});
}

result<std::string> trust::account_jwt(cluster_id id, time_point now) const {
  const auto found = find(id);
  if (!found)
    return tl::unexpected(found.error());
  const auto& cluster = **found;
  auto keys = json::array();
  for (const auto& [who, key] : cluster.signing_keys)
    keys.push_back(scoped_key(rights_of(who), key.public_key()));
  for (const auto& key : cluster.join_keys)
    keys.push_back(scoped_key(rights_of(role::join), key.public_key));
  json nats{{"type", "account"}, {"limits", account_limits()}, {"signing_keys", std::move(keys)}};
  for (const auto& [user, at] : cluster.revocations)
    nats["revocations"][user] =
      std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
  return mint_jwt(operator_, {cluster.account.public_key(), cluster.name, now}, std::move(nats));
}

std::string trust::deletion_jwt(const std::string& account, time_point now) const {
  return mint_jwt(operator_, {operator_.public_key(), "delete", now},
                  {{"type", "generic"}, {"accounts", json::array({account})}});
}

result<std::string> trust::mint_user(cluster_id id, const user_grant& grant, time_point now) const {
  const auto cluster = find(id);
  if (!cluster)
    return tl::unexpected(cluster.error());
  const auto signing_key = (*cluster)->signing_keys.find(grant.who);
  if (signing_key == (*cluster)->signing_keys.end())
    return fail_field("role", "users of this role are minted by the holder of a cluster key");
  if (!parse_public_nkey(nkey_kind::user, grant.key))
    return fail_field("key", "not a public user nkey");
  if (grant.who == role::siem && !names_a_consumer(grant.name))
    return fail_field("name", "1 to 64 letters, digits, - and _: it names the consumer");
  // A scoped user's own claims stay empty: its rights are the signing key's template.
  return mint_jwt(signing_key->second, {grant.key, grant.name, now, grant.expires},
                  {{"type", "user"}, {"issuer_account", (*cluster)->account.public_key()}});
}

std::string trust::mint_system_user(const std::string& user_key, time_point now) const {
  return mint_jwt(system_, {user_key, "manager", now}, unscoped_user(json::object()));
}

std::string trust::mint_management_user(const std::string& user_key, time_point now) const {
  return mint_jwt(management_, {user_key, "manager", now},
                  unscoped_user(permissions(rights_of(role::manager))));
}

} // namespace marchproxy::bus

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/manager/authority.hpp"

#include "actors/bus/claims.hpp"

#include <algorithm>
#include <map>

namespace marchproxy::manager {

namespace {

constexpr auto bus_timeout = std::chrono::seconds{3};
constexpr auto trust_name = "bus-trust";

} // namespace

result<std::unique_ptr<authority>> authority::open(storage::store& store) {
  auto stored = store.secret_or(trust_name, bus::trust::create().to_json(), wall_now());
  if (!stored)
    return tl::unexpected(stored.error());
  auto trust = bus::trust::from_json(*stored);
  if (!trust)
    return tl::unexpected(trust.error());
  return std::unique_ptr<authority>{new authority{store, std::move(*trust)}};
}

bus::server_options authority::server_options() const {
  std::lock_guard hold{lock_};
  auto now = wall_now();
  bus::server_options out;
  out.operator_jwt = trust_.operator_jwt(now);
  out.system_account = trust_.system_account();
  out.accounts.emplace(trust_.system_account(), trust_.system_account_jwt(now));
  out.accounts.emplace(trust_.management_account(), trust_.management_account_jwt(now));
  return out;
}

result<void> authority::connect(const std::vector<std::string>& urls) {
  auto user = bus::nkey::generate(bus::nkey_kind::user);
  {
    std::lock_guard hold{lock_};
    urls_ = urls;
    bus::connection_options options{urls, "manager-system", user, [this, key = user.public_key()] {
                                      std::lock_guard inner{lock_};
                                      return trust_.mint_system_user(key, wall_now());
                                    }};
    auto opened = bus::connection::open(std::move(options));
    if (!opened)
      return tl::unexpected(opened.error());
    system_ = std::move(*opened);
  }
  if (auto up = system_->wait_until_up(std::chrono::seconds{15}); !up)
    return up;
  return push_all();
}

bool authority::connected() const {
  std::lock_guard hold{lock_};
  return system_ && system_->up();
}

result<void> authority::push(cluster_id id) {
  if (!system_)
    return {};
  auto jwt = trust_.account_jwt(id, wall_now());
  if (!jwt)
    return tl::unexpected(jwt.error());
  return bus::push_account(*system_, std::move(*jwt), bus_timeout);
}

result<void> authority::push_all() {
  std::lock_guard hold{lock_};
  for (const auto& [id, unused] : trust_.clusters())
    if (auto done = push(id); !done)
      return done;
  return {};
}

result<void> authority::keep(cluster_id id) {
  if (auto done = store_.put_secret(trust_name, trust_.to_json(), wall_now()); !done)
    return done;
  return push(id);
}

result<authority::issued_key> authority::add_cluster(cluster_id id, const std::string& name) {
  {
    std::lock_guard hold{lock_};
    if (auto done = trust_.add_cluster(id, name); !done)
      return tl::unexpected(done.error());
  }
  return issue_key(id);
}

result<void> authority::remove_cluster(cluster_id id) {
  std::lock_guard hold{lock_};
  auto account = trust_.remove_cluster(id);
  if (!account)
    return tl::unexpected(account.error());
  if (auto done = store_.put_secret(trust_name, trust_.to_json(), wall_now()); !done)
    return done;
  if (!system_)
    return {};
  return bus::delete_account(*system_, trust_.deletion_jwt(*account, wall_now()), bus_timeout);
}

result<authority::issued_key> authority::issue_key(cluster_id id) {
  std::lock_guard hold{lock_};
  auto issued = trust_.issue_join_key(id, wall_now());
  if (!issued)
    return tl::unexpected(issued.error());
  if (auto done = keep(id); !done)
    return tl::unexpected(done.error());
  return issued_key{issued->entry.id, bus::to_text(issued->key), issued->entry.public_key};
}

result<void> authority::remove_key(cluster_id id, const std::string& key_id) {
  std::lock_guard hold{lock_};
  if (auto done = trust_.remove_join_key(id, key_id); !done)
    return done;
  return keep(id);
}

std::vector<bus::join_key> authority::keys(cluster_id id) const {
  std::lock_guard hold{lock_};
  auto found = trust_.find(id);
  return found ? (*found)->join_keys : std::vector<bus::join_key>{};
}

result<void> authority::remove_expired_keys(time_point now) {
  std::map<cluster_id, std::vector<bus::join_key>> all;
  {
    std::lock_guard hold{lock_};
    for (const auto& [id, cluster] : trust_.clusters())
      all.emplace(id, cluster.join_keys);
  }
  for (const auto& [id, keys] : all) {
    auto stored = store_.join_keys(id);
    if (!stored)
      return tl::unexpected(stored.error());
    for (const auto& key : keys) {
      auto over = std::any_of(stored->begin(), stored->end(), [&](const storage::join_key& known) {
        return known.public_key == key.public_key && known.expires_at && *known.expires_at <= now;
      });
      if (!over)
        continue;
      if (auto done = remove_key(id, key.id); !done)
        return done;
    }
  }
  return {};
}

result<void> authority::revoke(cluster_id id, const std::string& user_key) {
  std::lock_guard hold{lock_};
  if (auto done = trust_.revoke(id, user_key, wall_now()); !done)
    return done;
  return keep(id);
}

result<authority::minted> authority::mint(cluster_id id,
                                          bus::role who,
                                          const std::string& user_key,
                                          const std::string& name,
                                          std::chrono::seconds lifetime) const {
  std::lock_guard hold{lock_};
  auto now = wall_now();
  minted out{"", now + lifetime};
  auto jwt = trust_.mint_user(id, {who, user_key, name, out.expires}, now);
  if (!jwt)
    return tl::unexpected(jwt.error());
  out.jwt = std::move(*jwt);
  return out;
}

result<bus::connection_options> authority::manager_login(cluster_id id) const {
  auto user = bus::nkey::generate(bus::nkey_kind::user);
  std::lock_guard hold{lock_};
  if (id)
    if (auto known = trust_.find(id); !known)
      return tl::unexpected(known.error());
  return bus::connection_options{
    urls_, "manager", user, [this, id, key = user.public_key()]() -> std::string {
      std::lock_guard inner{lock_};
      auto now = wall_now();
      if (!id)
        return trust_.mint_management_user(key, now);
      return trust_.mint_user(id, {bus::role::manager, key, "manager", std::nullopt}, now)
        .value_or("");
    }};
}

result<crypto::ed25519_key> authority::policy_key(cluster_id id) const {
  auto seed = store_.secret_or("policy-key/" + std::to_string(id.value),
                               crypto::ed25519_key::generate().seed(), wall_now());
  if (!seed)
    return tl::unexpected(seed.error());
  return crypto::ed25519_key::from_seed(*seed);
}

} // namespace marchproxy::manager

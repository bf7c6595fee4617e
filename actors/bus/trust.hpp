// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/strong_id.hpp"
#include "actors/base/time.hpp"
#include "actors/bus/cluster_key.hpp"
#include "actors/bus/nkey.hpp"
#include "actors/bus/roles.hpp"
#include "actors/crypto/secret.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::bus {

/// A cluster key that may be joined with. Only its public half is kept.
struct join_key {
  std::string id; ///< names the key in lists and when it is removed
  std::string public_key;
  time_point added;
};

/// One cluster's part of the keyring: its account and who may issue users in it.
struct cluster_trust {
  std::string name;
  nkey account;
  std::map<role, nkey> signing_keys; ///< every role but join
  std::vector<join_key> join_keys;
  std::map<std::string, time_point> revocations; ///< user key -> JWTs issued until then are void
};

/// A user's rights in one account.
struct user_grant {
  role who = role::proxy;
  std::string key; ///< public nkey of kind user
  std::string name;
  std::optional<time_point> expires = std::nullopt;
};

/// The keyring of a deployment: operator, system account, management account and one account per
/// cluster (BUS-2). A value without I/O: its owner stores to_json() sealed, and pushes
/// account_jwt() after each change (actors/bus/claims.hpp). Not thread-safe.
class trust {
public:
  /// At most this many cluster keys at once: the old and the new one of a rotation.
  static constexpr std::size_t max_join_keys = 2;

  [[nodiscard]] static trust create();
  /// @errors corrupt if @p text is not what to_json wrote
  [[nodiscard]] static result<trust> from_json(const crypto::secret& text);
  [[nodiscard]] crypto::secret to_json() const;

  /// @errors conflict if the id or the name is taken
  [[nodiscard]] result<void> add_cluster(cluster_id id, std::string name);
  /// Forgets the cluster and its keys. @returns the account to delete (claims.hpp)
  [[nodiscard]] result<std::string> remove_cluster(cluster_id id);
  [[nodiscard]] const std::map<cluster_id, cluster_trust>& clusters() const noexcept {
    return clusters_;
  }
  /// @errors not_found
  [[nodiscard]] result<const cluster_trust*> find(cluster_id id) const;

  /// A new cluster key. Its text exists in the returned value only: show it once.
  /// @errors not_found; conflict if a rotation is going on already
  struct issued_join_key {
    join_key entry;
    cluster_api_key key;
  };
  [[nodiscard]] result<issued_join_key> issue_join_key(cluster_id id, time_point now);
  /// Adds the public half of a cluster key made elsewhere. The same errors; conflict too if it is
  /// known already.
  [[nodiscard]] result<join_key>
  add_join_key(cluster_id id, std::string public_key, time_point now);
  [[nodiscard]] result<void> remove_join_key(cluster_id id, std::string_view join_key_id);

  /// Voids what @p user_key was issued until @p at (to the second). Whether it may enrol anew is
  /// the manager's affair.
  [[nodiscard]] result<void> revoke(cluster_id id, const std::string& user_key, time_point at);

  [[nodiscard]] const std::string& system_account() const noexcept { return system_.public_key(); }
  [[nodiscard]] const std::string& management_account() const noexcept {
    return management_.public_key();
  }
  [[nodiscard]] std::string operator_jwt(time_point now) const;
  [[nodiscard]] std::string system_account_jwt(time_point now) const;
  [[nodiscard]] std::string management_account_jwt(time_point now) const;
  [[nodiscard]] result<std::string> account_jwt(cluster_id id, time_point now) const;
  /// The order to the resolver to forget @p account.
  [[nodiscard]] std::string deletion_jwt(const std::string& account, time_point now) const;

  /// @errors not_found; invalid_argument for role join (only the holder of a cluster key mints
  /// those), a key that is
  ///         no user key, or a siem name that cannot name a consumer
  [[nodiscard]] result<std::string>
  mint_user(cluster_id id, const user_grant& grant, time_point now) const;
  /// A user of the system account: it pushes accounts.
  [[nodiscard]] std::string mint_system_user(const std::string& user_key, time_point now) const;
  /// A manager's user of the management account.
  [[nodiscard]] std::string mint_management_user(const std::string& user_key, time_point now) const;

private:
  trust(nkey operator_key, nkey system, nkey management);
  [[nodiscard]] result<cluster_trust*> find_mutable(cluster_id id);

  nkey operator_;
  nkey system_;
  nkey management_;
  std::map<cluster_id, cluster_trust> clusters_;
};

} // namespace marchproxy::bus

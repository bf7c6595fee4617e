// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/time.hpp"
#include "actors/bus/connection.hpp"
#include "actors/bus/server.hpp"
#include "actors/bus/trust.hpp"
#include "actors/crypto/ed25519.hpp"
#include "actors/storage/store.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace marchproxy::manager {

/// How long a proxy's JWT lasts; it renews at half of it.
constexpr auto proxy_jwt_lifetime = std::chrono::minutes{30};

/// Who may do what on the bus: the deployment's keyring (stored sealed) and the system account's
/// connection through which accounts reach the servers. Each change is stored, then pushed.
/// Blocking and thread-safe.
class authority {
public:
  /// Loads the keyring, or makes a new one at the first start.
  [[nodiscard]] static result<std::unique_ptr<authority>> open(storage::store& store);

  /// What an embedded server needs of the keyring; the caller adds directory, host and port.
  [[nodiscard]] bus::server_options server_options() const;
  /// Opens the system connection and pushes every account.
  /// @errors unavailable, unauthenticated
  [[nodiscard]] result<void> connect(const std::vector<std::string>& urls);
  /// Again, for servers that were away when an account changed (a revocation must not be missed).
  [[nodiscard]] result<void> push_all();
  [[nodiscard]] bool connected() const;

  struct issued_key {
    std::string id;
    crypto::secret text; ///< CLUSTER_API_KEY; exists here only
    std::string public_key;
  };
  /// An account and a first key for a cluster that the store knows.
  [[nodiscard]] result<issued_key> add_cluster(cluster_id id, const std::string& name);
  [[nodiscard]] result<void> remove_cluster(cluster_id id);
  [[nodiscard]] result<issued_key> issue_key(cluster_id id);
  [[nodiscard]] result<void> remove_key(cluster_id id, const std::string& key_id);
  [[nodiscard]] std::vector<bus::join_key> keys(cluster_id id) const;
  /// Ends the keys whose overlap is over, as the store has it (BUS-2).
  [[nodiscard]] result<void> remove_expired_keys(time_point now);
  [[nodiscard]] result<void> revoke(cluster_id id, const std::string& user_key);

  struct minted {
    std::string jwt;
    time_point expires;
  };
  [[nodiscard]] result<minted> mint(cluster_id id,
                                    bus::role who,
                                    const std::string& user_key,
                                    const std::string& name,
                                    std::chrono::seconds lifetime) const;
  /// For the manager's own gateway inside a cluster's account; id 0: the installation's account.
  [[nodiscard]] result<bus::connection_options> manager_login(cluster_id id) const;

  /// The key that signs a cluster's revisions.
  [[nodiscard]] result<crypto::ed25519_key> policy_key(cluster_id id) const;

private:
  authority(storage::store& store, bus::trust trust) : store_(store), trust_(std::move(trust)) {}
  /// Stores the keyring and pushes the account. Needs lock_.
  [[nodiscard]] result<void> keep(cluster_id id);
  [[nodiscard]] result<void> push(cluster_id id);

  storage::store& store_;
  mutable std::mutex lock_;
  bus::trust trust_;
  std::vector<std::string> urls_;
  std::unique_ptr<bus::connection> system_;
};

} // namespace marchproxy::manager

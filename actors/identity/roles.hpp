// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/strong_id.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::identity {

/// Assigned per cluster (IDN-1).
enum class role : std::uint8_t { administrator, service_owner };
[[nodiscard]] std::string_view to_string(role value) noexcept;
[[nodiscard]] std::optional<role> parse_role(std::string_view name) noexcept;

/// Everything that somebody can do by REST, gRPC, bus or console. Names are `mapping.create`.
enum class operation : std::uint8_t {
  cluster_read,
  cluster_create,
  cluster_update,
  cluster_delete,
  cluster_rotate_key, ///< make, list and withdraw the keys that proxies join with
  service_read,
  service_create,
  service_update,
  service_delete,
  credential_read, ///< of a service; never the verifier
  credential_create,
  credential_delete,
  mapping_read,
  mapping_create,
  mapping_update,
  mapping_delete,
  proxy_read,
  proxy_update, ///< drain, name
  proxy_revoke,
  revision_read,
  revision_restore,
  explain,
  audit_read,
  user_read,
  user_create,
  user_update, ///< roles, lock, somebody's password; one's own password when owned
  user_delete,
  api_key_read,
  api_key_create,
  api_key_delete,
};
constexpr std::size_t operation_count = 30;
[[nodiscard]] std::string_view to_string(operation value) noexcept;

enum class principal_kind : std::uint8_t { user, api_key, automation };

/// What an API key may be used for; a key never does more than its owner may.
enum class scope : std::uint8_t {
  read,  ///< what changes nothing
  write, ///< and configuration: everything but users and API keys
  all,   ///< and those
};
[[nodiscard]] std::string_view to_string(scope value) noexcept;
[[nodiscard]] std::optional<scope> parse_scope(std::string_view name) noexcept;

/// Somebody who proved who they are.
struct principal {
  principal_kind kind = principal_kind::user;
  user_id id; ///< for API keys: their owner
  std::string name = {};
  bool global_administrator = false;
  std::map<cluster_id, role> roles = {};
  std::optional<scope> limit = {}; ///< none: no limit beyond the roles
};

/// Whether @p who may do @p what.
/// @param cluster  the cluster that the thing is in; none for what is in none: the list of users,
///                 clusters to be made
/// @param owned    the thing is the principal's own: its account, API key, audit record
/// The whole table is in roles.cpp.
[[nodiscard]] bool
permits(const principal& who, operation what, cluster_id cluster = {}, bool owned = false) noexcept;

} // namespace marchproxy::identity

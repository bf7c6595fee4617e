// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/identity/roles.hpp"

#include <algorithm>

namespace marchproxy::identity {

namespace {

/// Who may, besides a global administrator, who may everything.
enum class who : std::uint8_t {
  nobody,
  administrators, ///< of the cluster at hand
  members,        ///< anybody with a role in the cluster at hand
  themselves,     ///< about what is their own, wherever it is
  administrators_and_themselves,
};

struct row {
  operation what;
  std::string_view name;
  who may;
  scope needs;
};

constexpr std::array<row, operation_count> table{{
  {operation::cluster_read, "cluster.read", who::members, scope::read},
  {operation::cluster_create, "cluster.create", who::nobody, scope::write},
  {operation::cluster_update, "cluster.update", who::administrators, scope::write},
  {operation::cluster_delete, "cluster.delete", who::nobody, scope::write},
  {operation::cluster_rotate_key, "cluster.rotate_key", who::administrators, scope::write},
  {operation::service_read, "service.read", who::members, scope::read},
  {operation::service_create, "service.create", who::members, scope::write},
  {operation::service_update, "service.update", who::members, scope::write},
  {operation::service_delete, "service.delete", who::members, scope::write},
  {operation::credential_read, "credential.read", who::members, scope::read},
  {operation::credential_create, "credential.create", who::members, scope::write},
  {operation::credential_delete, "credential.delete", who::members, scope::write},
  {operation::mapping_read, "mapping.read", who::members, scope::read},
  {operation::mapping_create, "mapping.create", who::members, scope::write},
  {operation::mapping_update, "mapping.update", who::members, scope::write},
  {operation::mapping_delete, "mapping.delete", who::members, scope::write},
  {operation::proxy_read, "proxy.read", who::members, scope::read},
  {operation::proxy_update, "proxy.update", who::administrators, scope::write},
  {operation::proxy_revoke, "proxy.revoke", who::administrators, scope::write},
  {operation::revision_read, "revision.read", who::members, scope::read},
  {operation::revision_restore, "revision.restore", who::administrators, scope::write},
  {operation::explain, "explain", who::members, scope::read},
  {operation::audit_read, "audit.read", who::administrators_and_themselves, scope::read},
  {operation::user_read, "user.read", who::themselves, scope::read},
  {operation::user_create, "user.create", who::nobody, scope::all},
  {operation::user_update, "user.update", who::themselves, scope::all},
  {operation::user_delete, "user.delete", who::nobody, scope::all},
  {operation::api_key_read, "api_key.read", who::themselves, scope::read},
  {operation::api_key_create, "api_key.create", who::themselves, scope::all},
  {operation::api_key_delete, "api_key.delete", who::themselves, scope::all},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (static_cast<std::size_t>(table[i].what) != i)
      return false;
  return true;
}
static_assert(in_order(), "one row for each operation, in the enum's order");

const row& row_of(operation what) noexcept {
  return table[static_cast<std::size_t>(what)];
}

std::optional<role> role_in(const principal& of, cluster_id cluster) noexcept {
  const auto found = cluster ? of.roles.find(cluster) : of.roles.end();
  return found == of.roles.end() ? std::nullopt : std::optional{found->second};
}

constexpr std::array<std::string_view, 3> scope_names{"read", "write", "all"};
constexpr std::array<std::string_view, 2> role_names{"administrator", "service_owner"};

template <class Enum, std::size_t N>
std::optional<Enum> find_word(const std::array<std::string_view, N>& words, std::string_view name) {
  const auto found = std::find(words.begin(), words.end(), name);
  if (found == words.end())
    return std::nullopt;
  return static_cast<Enum>(found - words.begin());
}

} // namespace

std::string_view to_string(role value) noexcept {
  return role_names[static_cast<std::size_t>(value)];
}
std::optional<role> parse_role(std::string_view name) noexcept {
  return find_word<role>(role_names, name);
}

std::string_view to_string(scope value) noexcept {
  return scope_names[static_cast<std::size_t>(value)];
}
std::optional<scope> parse_scope(std::string_view name) noexcept {
  return find_word<scope>(scope_names, name);
}

std::string_view to_string(operation value) noexcept {
  return row_of(value).name;
}

bool permits(const principal& of, operation what, cluster_id cluster, bool owned) noexcept {
  const auto& rule = row_of(what);
  if (of.limit && *of.limit < rule.needs)
    return false;
  if (of.global_administrator)
    return true;
  const auto has = role_in(of, cluster);
  switch (rule.may) {
  case who::nobody:
    return false;
  case who::administrators:
    return has == role::administrator;
  case who::members:
    return has.has_value();
  case who::themselves:
    return owned;
  case who::administrators_and_themselves:
    return owned || has == role::administrator;
  }
  return false;
}

} // namespace marchproxy::identity

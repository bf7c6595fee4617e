// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace marchproxy::bus {

/// What a connection inside a cluster's account may be.
enum class role : std::uint8_t { manager, proxy, join, automation, siem };

/// The rights of one role. They become the template of a scoped signing key, so the server enforces
/// them and a user's own JWT cannot widen them. `{{subject()}}` is the user's public nkey,
/// `{{name()}}` the name in its JWT.
struct role_rights {
  role who;
  std::string_view name;
  std::string_view purpose;
  std::span<const std::string_view> publish;
  std::span<const std::string_view> subscribe;
  /// Subscriptions one connection may hold; -1 is any number.
  int subscriptions;
  /// Whether it may answer the requests that reach it: one reply each, within reply_window.
  bool answers;
};

/// The one table of rights, in the order of the enumerators (docs/bus.md is written from it).
[[nodiscard]] std::span<const role_rights> roles() noexcept;
[[nodiscard]] const role_rights& rights_of(role who) noexcept;
[[nodiscard]] std::string_view to_string(role who) noexcept;
[[nodiscard]] std::optional<role> parse_role(std::string_view name) noexcept;

/// Subjects that nobody may publish to, whatever the role allows: those that reach past the account
/// (CVE-2025-30215 wiped another account's JetStream through ACCOUNT.PURGE), and the end of the
/// audit trail.
[[nodiscard]] std::span<const std::string_view> denied_to_all() noexcept;

/// The permissions part of a user template: `pub`, `sub` and `resp`.
[[nodiscard]] nlohmann::json permissions(const role_rights& rights);
/// The entry in `signing_keys` of an account JWT that makes @p signing_key issue users of this
/// role.
[[nodiscard]] nlohmann::json scoped_key(const role_rights& rights, std::string_view signing_key);

} // namespace marchproxy::bus

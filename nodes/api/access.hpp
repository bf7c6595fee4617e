// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/strong_id.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::api {

/// What a route asks of its caller. Each route names one (routes.cpp); may() decides.
enum class permission : std::uint8_t {
  none,               ///< nobody need be known: health, metrics, login, the OpenAPI document
  authenticated,      ///< anybody who is known: oneself, one's own API keys, the status
  proxy_key,          ///< a proxy that shows its cluster's key (COMPAT-1)
  configuration_read, ///< in a cluster: see it, its services, mappings, proxies, revisions; explain
  configuration_write, ///< in a cluster: change services and mappings
  cluster_operate,     ///< in a cluster: its settings, keys and credentials of proxies, restoring a
                       ///< revision
  administer,          ///< everywhere: clusters come and go, users, audit
};

enum class role : std::uint8_t { administrator, service_owner };

/// Somebody who proved who they are, and what they may do.
struct principal {
  struct grant {
    api::role role = role::service_owner;
    cluster_id cluster; ///< none: every cluster
  };

  std::string kind; ///< `user` or `api_key`
  std::string id;
  std::string name;
  user_id user; ///< who is behind it; an API key acts for its owner
  std::vector<grant> grants;
  bool read_only = false; ///< an API key whose scope is reading
};

/// @param cluster  the cluster the route is about; none for routes about none
[[nodiscard]] bool may(const principal& who, permission wanted, cluster_id cluster) noexcept;

[[nodiscard]] std::string_view to_string(permission value) noexcept;
/// `administrator`, `service_owner`
[[nodiscard]] std::string_view to_string(role value) noexcept;

} // namespace marchproxy::api

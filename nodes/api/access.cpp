// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/access.hpp"

#include <algorithm>

namespace marchproxy::api {

namespace {

bool grants(const principal::grant& grant, permission wanted, cluster_id cluster) {
  const bool everywhere = !grant.cluster;
  if (!everywhere && grant.cluster != cluster)
    return false;
  switch (wanted) {
  case permission::none:
  case permission::authenticated:
    return true;
  case permission::proxy_key:
    return false;
  case permission::configuration_read:
  case permission::configuration_write:
    return true;
  case permission::cluster_operate:
    return grant.role == role::administrator;
  case permission::administer:
    return grant.role == role::administrator && everywhere;
  }
  return false;
}

} // namespace

bool may(const principal& who, permission wanted, cluster_id cluster) noexcept {
  if (wanted == permission::none || wanted == permission::authenticated)
    return true;
  return std::any_of(who.grants.begin(), who.grants.end(),
                     [&](const auto& grant) { return grants(grant, wanted, cluster); });
}

std::string_view to_string(permission value) noexcept {
  switch (value) {
  case permission::none:
    return "none";
  case permission::authenticated:
    return "authenticated";
  case permission::proxy_key:
    return "proxy_key";
  case permission::configuration_read:
    return "configuration_read";
  case permission::configuration_write:
    return "configuration_write";
  case permission::cluster_operate:
    return "cluster_operate";
  case permission::administer:
    return "administer";
  }
  return "";
}

std::string_view to_string(role value) noexcept {
  return value == role::administrator ? "administrator" : "service_owner";
}

} // namespace marchproxy::api

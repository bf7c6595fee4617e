// SPDX-License-Identifier: AGPL-3.0-only
// What the proxies of the earlier MarchProxy call (COMPAT-1). They show their cluster's key and
// know no envelope.
#include "nodes/api/reply.hpp"
#include "nodes/api/route.hpp"

namespace marchproxy::api {

namespace {

result<reply> register_proxy(call& c) {
  return c.manager.register_proxy(c.cluster, c.body, c.by.source).map(reply_bare);
}

result<reply> heartbeat(call& c) {
  return c.manager.heartbeat(c.cluster, c.body, c.by.source).map(reply_bare);
}

result<reply> configuration(call& c) {
  const auto& wanted = c.parameter("cluster");
  if (wanted != c.cluster.name && wanted != std::to_string(c.cluster.id.value))
    return fail(errc::forbidden, "the key is another cluster's");
  return c.manager.proxy_configuration(c.cluster).map(reply_bare);
}

result<reply> license_status(call& c) {
  return c.manager.license_status().map(reply_bare);
}

result<reply> validate_license(call& c) {
  return c.manager.validate_license(c.body).map(reply_bare);
}

constexpr route table[] = {
  {.method = "POST",
   .path = "/api/proxy/register",
   .operation = "registerProxy",
   .summary = "A proxy announces itself; 429 when every seat is taken",
   .shape = shape::action,
   .needs = permission::proxy_key,
   .run = register_proxy,
   .takes = "ProxyRegistration",
   .returns = "ProxyRegistered",
   .bare = true},
  {.method = "POST",
   .path = "/api/proxy/heartbeat",
   .operation = "proxyHeartbeat",
   .summary = "A proxy says that it lives",
   .shape = shape::action,
   .needs = permission::proxy_key,
   .run = heartbeat,
   .takes = "ProxyHeartbeat",
   .returns = "ProxyHeartbeatAnswer",
   .bare = true},
  {.method = "GET",
   .path = "/api/config/{cluster}",
   .operation = "proxyConfiguration",
   .summary = "Services and mappings of the key's cluster",
   .needs = permission::proxy_key,
   .run = configuration,
   .returns = "ProxyConfiguration",
   .bare = true},
  {.method = "GET",
   .path = "/api/license-status",
   .operation = "licenseStatus",
   .summary = "Edition and limits",
   .needs = permission::proxy_key,
   .run = license_status,
   .returns = "LicenseStatus",
   .bare = true},
  {.method = "POST",
   .path = "/api/license/validate",
   .operation = "validateLicense",
   .summary = "Whether a licence key is well formed and valid",
   .shape = shape::action,
   .needs = permission::proxy_key,
   .run = validate_license,
   .takes = "LicenseInput",
   .returns = "LicenseValidation",
   .bare = true},
};

} // namespace

std::span<const route> proxy_contract_routes() {
  return table;
}

} // namespace marchproxy::api

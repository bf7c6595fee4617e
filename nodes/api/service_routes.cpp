// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/reply.hpp"
#include "nodes/api/route.hpp"

namespace marchproxy::api {

namespace {

result<service_id> id_of(const call& c) {
  return c.number("service").map([](std::uint64_t value) { return service_id{value}; });
}

result<reply> list_services(call& c) {
  return c.manager.list_services(c.by, c.cluster.id, c.list).map(reply_page);
}

result<reply> create_service(call& c) {
  return c.manager.create_service(c.by, c.cluster.id, c.body, c.how).map(reply_change);
}

result<reply> get_service(call& c) {
  return id_of(c).and_then(
    [&](service_id id) { return c.manager.get_service(c.by, c.cluster.id, id).map(reply_row); });
}

template <bool Patch>
result<reply> update_service(call& c) {
  return id_of(c).and_then([&](service_id id) {
    return c.manager.update_service(c.by, c.cluster.id, id, c.body, Patch, c.how).map(reply_change);
  });
}

result<reply> delete_service(call& c) {
  return id_of(c).and_then([&](service_id id) {
    return c.manager.delete_service(c.by, c.cluster.id, id, c.how).map(reply_change);
  });
}

result<reply> list_credentials(call& c) {
  return id_of(c).and_then([&](service_id id) {
    return c.manager.list_credentials(c.by, c.cluster.id, id, c.list).map(reply_page);
  });
}

result<reply> add_credential(call& c) {
  return id_of(c).and_then([&](service_id id) {
    return c.manager.add_credential(c.by, c.cluster.id, id, c.body, c.how).map(reply_change);
  });
}

result<reply> delete_credential(call& c) {
  return id_of(c).and_then([&](service_id id) {
    return c.manager.delete_credential(c.by, c.cluster.id, id, c.parameter("credential"), c.how)
      .map(reply_change);
  });
}

constexpr route table[] = {
  {.method = "GET",
   .path = "/api/v1/clusters/{cluster}/services",
   .operation = "listServices",
   .summary = "Services of a cluster",
   .shape = shape::list,
   .needs = permission::configuration_read,
   .run = list_services,
   .returns = "Service",
   .filters = {"name", "collection", "active"}},
  {.method = "POST",
   .path = "/api/v1/clusters/{cluster}/services",
   .operation = "createService",
   .summary = "A new service",
   .shape = shape::create,
   .needs = permission::configuration_write,
   .run = create_service,
   .takes = "ServiceInput",
   .returns = "Service",
   .status = 201},
  {.method = "GET",
   .path = "/api/v1/clusters/{cluster}/services/{service}",
   .operation = "getService",
   .summary = "One service",
   .needs = permission::configuration_read,
   .run = get_service,
   .returns = "Service"},
  {.method = "PUT",
   .path = "/api/v1/clusters/{cluster}/services/{service}",
   .operation = "replaceService",
   .summary = "All fields of a service",
   .shape = shape::modify,
   .needs = permission::configuration_write,
   .run = update_service<false>,
   .takes = "ServiceInput",
   .returns = "Service"},
  {.method = "PATCH",
   .path = "/api/v1/clusters/{cluster}/services/{service}",
   .operation = "patchService",
   .summary = "Some fields of a service (RFC 7396)",
   .shape = shape::modify,
   .needs = permission::configuration_write,
   .run = update_service<true>,
   .takes = "ServicePatch",
   .returns = "Service"},
  {.method = "DELETE",
   .path = "/api/v1/clusters/{cluster}/services/{service}",
   .operation = "deleteService",
   .summary = "Removes a service that no mapping names",
   .shape = shape::modify,
   .needs = permission::configuration_write,
   .run = delete_service},
  {.method = "GET",
   .path = "/api/v1/clusters/{cluster}/services/{service}/credentials",
   .operation = "listCredentials",
   .summary = "What a service proves itself with, without the secrets",
   .shape = shape::list,
   .needs = permission::configuration_read,
   .run = list_credentials,
   .returns = "Credential"},
  {.method = "POST",
   .path = "/api/v1/clusters/{cluster}/services/{service}/credentials",
   .operation = "addCredential",
   .summary = "One more credential; several may hold at once, for rotation",
   .shape = shape::create,
   .needs = permission::configuration_write,
   .run = add_credential,
   .takes = "CredentialInput",
   .returns = "NewCredential",
   .status = 201},
  {.method = "DELETE",
   .path = "/api/v1/clusters/{cluster}/services/{service}/credentials/{credential}",
   .operation = "deleteCredential",
   .summary = "Ends a credential",
   .shape = shape::modify,
   .needs = permission::configuration_write,
   .run = delete_credential},
};

} // namespace

std::span<const route> service_routes() {
  return table;
}

} // namespace marchproxy::api

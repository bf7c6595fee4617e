// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/reply.hpp"
#include "nodes/api/route.hpp"

namespace marchproxy::api {

namespace {

result<mapping_id> id_of(const call& c) {
  return c.number("mapping").map([](std::uint64_t value) { return mapping_id{value}; });
}

result<reply> list_mappings(call& c) {
  return c.manager.list_mappings(c.by, c.cluster.id, c.list).map(reply_page);
}

result<reply> create_mapping(call& c) {
  return c.manager.create_mapping(c.by, c.cluster.id, c.body, c.how).map(reply_change);
}

result<reply> get_mapping(call& c) {
  return id_of(c).and_then(
    [&](mapping_id id) { return c.manager.get_mapping(c.by, c.cluster.id, id).map(reply_row); });
}

template <bool Patch>
result<reply> update_mapping(call& c) {
  return id_of(c).and_then([&](mapping_id id) {
    return c.manager.update_mapping(c.by, c.cluster.id, id, c.body, Patch, c.how).map(reply_change);
  });
}

result<reply> delete_mapping(call& c) {
  return id_of(c).and_then([&](mapping_id id) {
    return c.manager.delete_mapping(c.by, c.cluster.id, id, c.how).map(reply_change);
  });
}

constexpr route table[] = {
  {.method = "GET",
   .path = "/api/v1/clusters/{cluster}/mappings",
   .operation = "listMappings",
   .summary = "Mappings of a cluster",
   .shape = shape::list,
   .needs = permission::configuration_read,
   .run = list_mappings,
   .returns = "Mapping",
   .filters = {"name", "action", "active"}},
  {.method = "POST",
   .path = "/api/v1/clusters/{cluster}/mappings",
   .operation = "createMapping",
   .summary = "A new mapping",
   .shape = shape::create,
   .needs = permission::configuration_write,
   .run = create_mapping,
   .takes = "MappingInput",
   .returns = "Mapping",
   .status = 201},
  {.method = "GET",
   .path = "/api/v1/clusters/{cluster}/mappings/{mapping}",
   .operation = "getMapping",
   .summary = "One mapping",
   .needs = permission::configuration_read,
   .run = get_mapping,
   .returns = "Mapping"},
  {.method = "PUT",
   .path = "/api/v1/clusters/{cluster}/mappings/{mapping}",
   .operation = "replaceMapping",
   .summary = "All fields of a mapping",
   .shape = shape::modify,
   .needs = permission::configuration_write,
   .run = update_mapping<false>,
   .takes = "MappingInput",
   .returns = "Mapping"},
  {.method = "PATCH",
   .path = "/api/v1/clusters/{cluster}/mappings/{mapping}",
   .operation = "patchMapping",
   .summary = "Some fields of a mapping (RFC 7396)",
   .shape = shape::modify,
   .needs = permission::configuration_write,
   .run = update_mapping<true>,
   .takes = "MappingPatch",
   .returns = "Mapping"},
  {.method = "DELETE",
   .path = "/api/v1/clusters/{cluster}/mappings/{mapping}",
   .operation = "deleteMapping",
   .summary = "Removes a mapping",
   .shape = shape::modify,
   .needs = permission::configuration_write,
   .run = delete_mapping},
};

} // namespace

std::span<const route> mapping_routes() {
  return table;
}

} // namespace marchproxy::api

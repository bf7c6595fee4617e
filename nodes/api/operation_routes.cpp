// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/reply.hpp"
#include "nodes/api/route.hpp"

#include <string>

namespace marchproxy::api {

namespace {

constexpr std::size_t audit_batch = 500;
constexpr std::size_t export_bytes = 64U << 20U;

result<reply> list_proxies(call& c) {
  return c.manager.list_proxies(c.by, c.cluster.id, c.list).map(reply_page);
}

result<reply> get_proxy(call& c) {
  return c.manager.get_proxy(c.by, c.cluster.id, c.parameter("proxy")).map(reply_row);
}

result<reply> revoke_proxy(call& c) {
  return c.manager.revoke_proxy(c.by, c.cluster.id, c.parameter("proxy")).map(reply_nothing);
}

result<revision> revision_of(const call& c) {
  return c.number("revision").map([](std::uint64_t value) { return revision{value}; });
}

result<reply> list_revisions(call& c) {
  return c.manager.list_revisions(c.by, c.cluster.id, c.list).map(reply_page);
}

result<reply> get_revision(call& c) {
  return revision_of(c).and_then([&](revision number) {
    return c.manager.get_revision(c.by, c.cluster.id, number).map(reply_row);
  });
}

result<reply> restore_revision(call& c) {
  return revision_of(c).and_then([&](revision number) {
    return c.manager.restore_revision(c.by, c.cluster.id, number, c.how).map(reply_change);
  });
}

result<reply> explain(call& c) {
  return c.manager.explain(c.by, c.cluster.id, c.body).map(reply_data);
}

std::string ledger_of(const call& c) {
  for (const auto& [name, value] : c.list.filters)
    if (name == "ledger")
      return value;
  return {};
}

result<reply> list_audit(call& c) {
  return c.manager.list_audit(c.by, ledger_of(c), c.after, c.list.limit).map(reply_page);
}

/// One record a line. Ends early at 64 MiB; X-Next-After then says where to go on.
result<reply> export_audit(call& c) {
  reply out;
  out.content_type = "application/x-ndjson";
  std::uint64_t after = c.after;
  const auto ledger = ledger_of(c);
  for (;;) {
    const auto part = c.manager.list_audit(c.by, ledger, after, audit_batch);
    if (!part)
      return tl::unexpected(part.error());
    for (const auto& record : part->items) {
      out.text += record.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
      after = record.value("sequence", after);
    }
    if (part->items.size() < audit_batch)
      return out;
    if (out.text.size() > export_bytes)
      break;
  }
  out.headers.emplace_back("X-Next-After", std::to_string(after));
  return out;
}

constexpr route table[] = {
  {.method = "GET",
   .path = "/api/v1/clusters/{cluster}/proxies",
   .operation = "listProxies",
   .summary = "Proxies of a cluster, with what they last reported",
   .shape = shape::list,
   .needs = permission::configuration_read,
   .run = list_proxies,
   .returns = "Proxy",
   .filters = {"name", "kind", "state"}},
  {.method = "GET",
   .path = "/api/v1/clusters/{cluster}/proxies/{proxy}",
   .operation = "getProxy",
   .summary = "One proxy",
   .needs = permission::configuration_read,
   .run = get_proxy,
   .returns = "Proxy"},
  {.method = "DELETE",
   .path = "/api/v1/clusters/{cluster}/proxies/{proxy}",
   .operation = "revokeProxy",
   .summary = "Cuts a proxy off at once and frees its seat",
   .shape = shape::action,
   .needs = permission::cluster_operate,
   .run = revoke_proxy},
  {.method = "GET",
   .path = "/api/v1/clusters/{cluster}/revisions",
   .operation = "listRevisions",
   .summary = "Revisions of a cluster, the newest first",
   .shape = shape::list,
   .needs = permission::configuration_read,
   .run = list_revisions,
   .returns = "Revision",
   .filters = {"state"}},
  {.method = "GET",
   .path = "/api/v1/clusters/{cluster}/revisions/{revision}",
   .operation = "getRevision",
   .summary = "One revision",
   .needs = permission::configuration_read,
   .run = get_revision,
   .returns = "Revision"},
  {.method = "POST",
   .path = "/api/v1/clusters/{cluster}/revisions/{revision}/restore",
   .operation = "restoreRevision",
   .summary = "A new revision with the content of this one",
   .shape = shape::create,
   .needs = permission::cluster_operate,
   .run = restore_revision,
   .returns = "Revision",
   .status = 201},
  {.method = "POST",
   .path = "/api/v1/clusters/{cluster}/explain",
   .operation = "explain",
   .summary = "Which mapping decides a flow, and why",
   .shape = shape::action,
   .needs = permission::configuration_read,
   .run = explain,
   .takes = "ExplainInput",
   .returns = "ExplainResult",
   .reads_only = true},
  {.method = "GET",
   .path = "/api/v1/audit",
   .operation = "listAudit",
   .summary = "Records of a chain after a sequence number",
   .shape = shape::ledger,
   .needs = permission::administer,
   .run = list_audit,
   .returns = "AuditRecord",
   .filters = {"ledger"}},
  {.method = "GET",
   .path = "/api/v1/audit/export",
   .operation = "exportAudit",
   .summary = "A whole chain as JSON lines, fit for `marchproxy audit verify`",
   .shape = shape::ledger,
   .needs = permission::administer,
   .run = export_audit,
   .returns = "AuditRecord",
   .media = "application/x-ndjson",
   .filters = {"ledger"}},
};

} // namespace

std::span<const route> operation_routes() {
  return table;
}

} // namespace marchproxy::api

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/refusal.hpp"

#include "nodes/wire/http1_writer.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace marchproxy::relay {

namespace {

std::string_view code_of(std::uint16_t status) noexcept {
  if (status == 403)
    return "denied";
  if (status == 401 || status == 407)
    return to_string(errc::unauthenticated);
  if (status == 404)
    return to_string(errc::not_found);
  if (status == 408 || status == 504)
    return to_string(errc::timeout);
  if (status == 429)
    return to_string(errc::limit_reached);
  if (status == 501)
    return to_string(errc::unsupported);
  return status < 500 ? to_string(errc::invalid_argument) : to_string(errc::unavailable);
}

std::string_view sentence_of(reason r) noexcept {
  switch (r) {
  case reason::implicit_deny:
    return "no mapping allows this flow";
  case reason::mapping_deny:
    return "a mapping denies this flow";
  case reason::private_destination:
    return "the destination is in a private or special range, and no mapping allows that";
  case reason::auth_required:
    return "the mapping for this flow requires credentials";
  case reason::auth_failed:
    return "the credentials are not those of a source service of the mapping";
  case reason::no_policy:
    return "no policy is in force yet";
  case reason::bad_request:
    return "the request is not one that this proxy serves";
  case reason::resolve_failed:
    return "the name has no address";
  case reason::connect_failed:
    return "no address of the destination took the connection";
  case reason::connect_timeout:
    return "the destination did not answer in time";
  case reason::upstream_failed:
    return "the destination broke off or sent no valid HTTP";
  case reason::revision_changed:
    return "a new revision refuses this flow";
  case reason::shutting_down:
    return "the proxy is shutting down";
  case reason::sni_mismatch:
    return "the TLS server name is another than the one asked for, and no mapping allows it";
  case reason::bad_hello:
    return "the TLS hello is malformed or incomplete";
  case reason::ech_refused:
    return "the TLS server name is encrypted, and the policy depends on it";
  case reason::no_route:
    return "no route has this host and path";
  case reason::no_backend:
    return "no backend of this route is in service";
  case reason::rate_limited:
    return "a limit of what may pass is reached";
  case reason::client_cert_required:
    return "this route requires a client certificate";
  case reason::client_cert_refused:
    return "the client certificate is not one that this route accepts";
  case reason::upstream_tls_failed:
    return "the destination did not prove by TLS that it is the one";
  case reason::overloaded:
    return "every backend of this route has as much under way as it may";
  case reason::mapping_allow:
  case reason::mapping_bypass:
  case reason::redirected:
    break;
  }
  return "allowed";
}

template <class Values, class Id>
std::string name_of(const Values& all, Id id) {
  auto found = std::lower_bound(all.begin(), all.end(), id,
                                [](const auto& each, Id wanted) { return each.id < wanted; });
  return found != all.end() && found->id == id ? found->name : std::string{};
}

const model::ruleset& rules_of(const policy_snapshot* snapshot) {
  static const model::ruleset none;
  return snapshot != nullptr && snapshot->program ? snapshot->program->rules() : none;
}

nlohmann::json mapping_json(mapping_id id, const policy_snapshot* snapshot) {
  if (!id)
    return nullptr;
  return {{"id", id.value}, {"name", name_of(rules_of(snapshot).mappings, id)}};
}

nlohmann::json limit_json(const limiting::refused& limit, const policy_snapshot* snapshot) {
  const auto& rules = rules_of(snapshot);
  const auto of_mapping = limit.of.of == limiting::subject::kind::mapping;
  return {{"of", to_string(limit.of.of)},
          {"id", limit.of.id},
          {"name", of_mapping ? name_of(rules.mappings, mapping_id{limit.of.id})
                              : name_of(rules.services, service_id{limit.of.id})},
          {"limit", to_string(limit.what)}};
}

/// Whole seconds, as the field takes them (RFC 9110 10.2.3). Nobody knows when a connection ends.
std::int64_t retry_after(const limiting::refused& limit) {
  return std::max<std::int64_t>(1,
                                std::chrono::ceil<std::chrono::seconds>(limit.retry_after).count());
}

} // namespace

std::uint16_t status_of(reason r) noexcept {
  switch (r) {
  case reason::implicit_deny:
  case reason::mapping_deny:
  case reason::private_destination:
  case reason::revision_changed:
  case reason::sni_mismatch:
  case reason::ech_refused:
  case reason::client_cert_required:
  case reason::client_cert_refused:
    return 403;
  case reason::auth_required:
  case reason::auth_failed:
    return 407;
  case reason::bad_request:
  case reason::bad_hello:
    return 400;
  case reason::resolve_failed:
  case reason::connect_failed:
  case reason::upstream_failed:
  case reason::upstream_tls_failed:
    return 502;
  case reason::connect_timeout:
    return 504;
  case reason::no_policy:
  case reason::no_backend:
  case reason::overloaded:
  case reason::shutting_down:
    return 503;
  case reason::no_route:
    return 404;
  case reason::rate_limited:
    return 429;
  case reason::mapping_allow:
  case reason::mapping_bypass:
  case reason::redirected:
    break;
  }
  return 200;
}

wire::socks5::reply_code socks_reply_of(reason r) noexcept {
  using enum wire::socks5::reply_code;
  switch (r) {
  case reason::mapping_allow:
  case reason::mapping_bypass:
    return succeeded;
  case reason::implicit_deny:
  case reason::mapping_deny:
  case reason::private_destination:
  case reason::revision_changed:
  case reason::auth_required:
  case reason::auth_failed:
  case reason::sni_mismatch:
  case reason::bad_hello:
  case reason::ech_refused:
  case reason::rate_limited:
  case reason::client_cert_required:
  case reason::client_cert_refused:
    return not_allowed;
  case reason::resolve_failed:
    return host_unreachable;
  case reason::connect_failed:
    return connection_refused;
  case reason::connect_timeout:
    return ttl_expired;
  case reason::bad_request:
  case reason::upstream_failed:
  case reason::upstream_tls_failed:
  case reason::no_policy:
  case reason::shutting_down:
  case reason::no_route:
  case reason::no_backend:
  case reason::overloaded:
  case reason::redirected:
    break;
  }
  return general_failure;
}

void write_refusal(std::string& out, const refusal& r, const policy_snapshot* snapshot) {
  auto status = r.status != 0 ? r.status : status_of(r.why);
  nlohmann::json body = {
    {"error",
     {{"code", code_of(status)},
      {"message", r.message.empty() ? std::string{sentence_of(r.why)} : r.message}}},
    {"mapping", mapping_json(r.mapping, snapshot)},
    {"reason", to_string(r.why)},
    {"revision", r.revision.value},
    {"request_id", request_text(r.request)}};
  if (r.limit)
    body["limit"] = limit_json(*r.limit, snapshot);
  auto text = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  wire::head_writer head{out};
  head.status_line(status)
    .field("Content-Type", "application/json")
    .field("Content-Length", text.size())
    .field("Cache-Control", "no-store")
    .field("X-Request-Id", request_text(r.request))
    .field("X-MarchProxy-Reason", to_string(r.why))
    .field("X-MarchProxy-Revision", r.revision.value);
  if (r.limit)
    head.field("Retry-After", static_cast<std::uint64_t>(retry_after(*r.limit)));
  if (status == 401)
    head.field("WWW-Authenticate", "Basic realm=\"marchproxy\"")
      .field("WWW-Authenticate", "Bearer");
  if (status == 407)
    head.field("Proxy-Authenticate", "Basic realm=\"marchproxy\"")
      .field("Proxy-Authenticate", "Bearer");
  head.field("Connection", r.keep_alive ? "keep-alive" : "close").end();
  if (!r.head_only)
    out += text;
}

} // namespace marchproxy::relay

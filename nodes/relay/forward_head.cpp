// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/forward_head.hpp"

#include "nodes/wire/http1_writer.hpp"

#include <algorithm>
#include <charconv>

namespace marchproxy::relay {

namespace {

using wire::iequals;

std::string target_of(const wire::request_head& head) {
  if (head.path.empty())
    return head.method == "OPTIONS" ? "*" : "/"; // RFC 9112 3.2.4
  return head.path.front() == '?' ? "/" + std::string{head.path} : std::string{head.path};
}

/// `1.1 via`, behind what earlier proxies wrote.
void write_via(wire::head_writer& writer,
               const wire::field_list& fields,
               std::uint8_t minor,
               std::string_view via) {
  for (const auto& f : fields)
    if (iequals(f.name, "via"))
      writer.field("Via", f.value);
  writer.field("Via", std::string{minor == 0 ? "1.0 " : "1.1 "} + std::string{via});
}

/// A length goes out as the number that was read.
void write_field(wire::head_writer& writer, const wire::field& f, const wire::body_framing& body) {
  if (body.kind == wire::body_kind::length && iequals(f.name, "content-length"))
    writer.field(f.name, body.length);
  else
    writer.field(f.name, f.value);
}

bool is_client_field(std::string_view name) noexcept {
  return iequals(name, "forwarded") || iequals(name, "x-forwarded-for");
}

/// Whether a backend could take @p name for @p field: many servers hand fields on as variables, in
/// which `-` and `_` are the same (RFC 3875 4.1.18).
bool passes_for(std::string_view name, std::string_view field) noexcept {
  return name.size() == field.size()
         && std::equal(name.begin(), name.end(), field.begin(), [](char n, char f) {
              return iequals({&n, 1}, {&f, 1}) || (n == '_' && f == '-');
            });
}

bool is_backend_field(std::string_view name, client_fields which) noexcept {
  return passes_for(name, "x-client-cert-subject")
         || (which != client_fields::off && passes_for(name, "x-forwarded-proto"));
}

void write_changes(wire::head_writer& writer, std::span<const model::header_change> changes) {
  for (const auto& change : changes)
    if (change.value)
      writer.field(change.name, *change.value);
}

/// Who the client is, for the origin (RFC 7239 and its forerunner).
void write_client(wire::head_writer& writer, const request_shape& shape) {
  if (shape.certificate)
    writer.field("X-Client-Cert-Subject", *shape.certificate);
  if (shape.forwarded == client_fields::off)
    return;
  auto text = to_string(shape.client);
  const std::string_view scheme = shape.over_tls ? "https" : "http";
  if (shape.forwarded != client_fields::forwarded) {
    writer.field("X-Forwarded-For", text);
    if (shape.to_backend && !is_changed(shape.changes, "x-forwarded-proto"))
      writer.field("X-Forwarded-Proto", scheme);
  }
  if (shape.forwarded == client_fields::x_forwarded_for)
    return;
  auto element = shape.client.family == ip_family::v4 ? "for=" + text : "for=\"[" + text + "]\"";
  if (shape.to_backend)
    element.append(";proto=").append(scheme);
  writer.field("Forwarded", element);
}

bool names_websocket(const wire::field_list& fields) noexcept {
  return fields.lists("connection", "upgrade") && fields.lists("upgrade", "websocket");
}

} // namespace

bool is_changed(std::span<const model::header_change> changes, std::string_view name) noexcept {
  return std::any_of(changes.begin(), changes.end(), [&](const model::header_change& change) {
    return iequals(change.name, name);
  });
}

bool asks_for_websocket(const wire::request_head& head) noexcept {
  return head.minor == 1 && head.method == "GET" && head.body.kind == wire::body_kind::none
         && names_websocket(head.fields);
}

bool switches_to_websocket(const wire::response_head& head) noexcept {
  return head.status == 101 && head.fields.count("upgrade") == 1 && names_websocket(head.fields);
}

std::optional<std::uint32_t> forwards_left(const wire::request_head& head) noexcept {
  auto text = head.fields.find("max-forwards");
  if (!text || head.fields.count("max-forwards") > 1
      || (head.method != "TRACE" && head.method != "OPTIONS"))
    return std::nullopt;
  std::uint32_t out = 0;
  auto [next, ec] = std::from_chars(text->data(), text->data() + text->size(), out);
  return ec == std::errc{} && next == text->data() + text->size() ? std::optional{out}
                                                                  : std::nullopt;
}

bool takes_trailers(const wire::request_head& head) noexcept {
  return head.minor == 1 && head.fields.lists("te", "trailers")
         && head.fields.lists("connection", "te");
}

bool authenticates_connection(const wire::field_list& fields) noexcept {
  for (const auto& f : fields) {
    if (!iequals(f.name, "authorization") && !iequals(f.name, "www-authenticate"))
      continue;
    for (auto list = f.value; !list.empty();) {
      auto element = wire::take_element(list);
      auto scheme = element.substr(0, element.find(' '));
      if (iequals(scheme, "ntlm") || iequals(scheme, "negotiate"))
        return true;
    }
  }
  return false;
}

void write_request_head(std::string& out,
                        const wire::request_head& head,
                        const request_shape& shape) {
  wire::head_writer writer{out};
  writer.request_line(head.method, shape.target.empty() ? target_of(head) : shape.target)
    .field("Host", head.authority.text());
  auto replaces_client = shape.forwarded != client_fields::off;
  auto left = forwards_left(head);
  for (const auto& f : head.fields) {
    if (left && *left > 0 && iequals(f.name, "max-forwards"))
      writer.field(f.name, *left - 1U);
    else if (!iequals(f.name, "host") && !iequals(f.name, "via") && !head.fields.is_hop_by_hop(f)
             && !(replaces_client && is_client_field(f.name))
             && !(shape.to_backend && is_backend_field(f.name, shape.forwarded))
             && !is_changed(shape.changes, f.name))
      write_field(writer, f, head.body);
  }
  write_changes(writer, shape.changes);
  write_client(writer, shape);
  if (head.body.kind == wire::body_kind::chunked)
    writer.field("Transfer-Encoding", "chunked");
  if (!shape.trailers.empty())
    writer.field("Trailer", shape.trailers);
  auto trailers = takes_trailers(head);
  auto websocket = asks_for_websocket(head);
  if (trailers)
    writer.field("TE", "trailers");
  if (websocket)
    writer.field("Upgrade", "websocket");
  if (trailers || websocket)
    writer.field("Connection", !websocket ? "TE" : trailers ? "TE, Upgrade" : "Upgrade");
  write_via(writer, head.fields, head.minor, shape.via);
  writer.end();
}

void write_response_head(std::string& out,
                         const wire::response_head& head,
                         const response_shape& shape,
                         std::string_view via) {
  wire::head_writer writer{out};
  writer.status_line(head.status, head.reason);
  // RFC 9110 8.6: none of these has a length, and a client that believed one would wait for a body.
  auto bodiless = head.status < 200 || head.status == 204;
  for (const auto& f : head.fields)
    if (!iequals(f.name, "via") && !head.fields.is_hop_by_hop(f)
        && !(bodiless && iequals(f.name, "content-length")) && !is_changed(shape.changes, f.name))
      write_field(writer, f, head.body);
  write_changes(writer, shape.changes);
  if (shape.chunked)
    writer.field("Transfer-Encoding", "chunked");
  if (!shape.trailers.empty())
    writer.field("Trailer", shape.trailers);
  write_via(writer, head.fields, head.minor, via);
  if (shape.websocket)
    writer.field("Upgrade", "websocket").field("Connection", "Upgrade");
  if (head.status >= 200) {
    if (!shape.keep_alive)
      writer.field("Connection", "close");
    else if (shape.http10)
      writer.field("Connection", "keep-alive");
  }
  writer.end();
}

} // namespace marchproxy::relay

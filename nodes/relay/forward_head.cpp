// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/forward_head.hpp"

#include "nodes/wire/http1_writer.hpp"

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

} // namespace

void write_request_head(std::string& out, const wire::request_head& head, std::string_view via) {
  wire::head_writer writer{out};
  writer.request_line(head.method, target_of(head)).field("Host", head.authority.text());
  for (const auto& f : head.fields)
    if (!iequals(f.name, "host") && !iequals(f.name, "via") && !head.fields.is_hop_by_hop(f))
      writer.field(f.name, f.value);
  if (head.body.kind == wire::body_kind::chunked)
    writer.field("Transfer-Encoding", "chunked");
  write_via(writer, head.fields, head.minor, via);
  writer.end();
}

void write_response_head(std::string& out,
                         const wire::response_head& head,
                         const response_shape& shape,
                         std::string_view via) {
  wire::head_writer writer{out};
  writer.status_line(head.status, head.reason);
  for (const auto& f : head.fields)
    if (!iequals(f.name, "via") && !head.fields.is_hop_by_hop(f))
      writer.field(f.name, f.value);
  if (shape.chunked)
    writer.field("Transfer-Encoding", "chunked");
  write_via(writer, head.fields, head.minor, via);
  if (head.status >= 200) {
    if (!shape.keep_alive)
      writer.field("Connection", "close");
    else if (shape.http10)
      writer.field("Connection", "keep-alive");
  }
  writer.end();
}

} // namespace marchproxy::relay

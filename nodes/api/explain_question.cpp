// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/explain_question.hpp"

#include "nodes/wire/host.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::api {

namespace {

using nlohmann::json;

result<std::string> text_field(const json& body, const char* field) {
  auto found = body.find(field);
  if (found == body.end() || found->is_null())
    return std::string{};
  if (!found->is_string() || found->get_ref<const std::string&>().size() > 2048)
    return fail_field(field, "must be a text of at most 2048 bytes");
  return found->get<std::string>();
}

/// Host, and port if there is one, of `http://host:port/...` or `https://...`.
result<wire::host_port> read_url(const std::string& url) {
  auto rest = std::string_view{url};
  std::uint16_t port = 443;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    port = 80;
    rest.remove_prefix(7);
  } else {
    return fail_field("url", "must begin with http:// or https://");
  }
  auto parsed = wire::parse_host_port(rest.substr(0, rest.find_first_of("/?#")));
  if (!parsed)
    return fail_field("url", "has no valid host");
  if (parsed->port == 0)
    parsed->port = port;
  return *parsed;
}

} // namespace

result<explain_question> read_explain_question(const json& body) {
  if (!body.is_object())
    return fail(errc::invalid_argument, "the body must be an object");
  auto source = text_field(body, "source");
  auto destination = text_field(body, "destination");
  auto url = text_field(body, "url");
  auto protocol = text_field(body, "protocol");
  for (const auto* one : {&source, &destination, &url, &protocol})
    if (!*one)
      return tl::unexpected(one->error());
  explain_question out;
  auto from = parse_ip(*source);
  if (!from)
    return fail_field("source", "must be an IP address");
  out.flow.source = *from;
  if (auto port = body.find("port"); port != body.end()) {
    if (!port->is_number_unsigned() || port->get<std::uint64_t>() > 65535)
      return fail_field("port", "must be 0 to 65535");
    out.flow.port = port->get<std::uint16_t>();
  }
  wire::host host;
  if (!url->empty()) {
    if (!destination->empty())
      return fail_field("url", "give either url or destination");
    auto target = read_url(*url);
    if (!target)
      return tl::unexpected(target.error());
    host = target->host;
    out.flow.port = target->port;
  } else {
    if (destination->empty())
      return fail_field("destination", "is required: an address or a name (or give url)");
    auto bare_v6 = parse_ip(*destination);
    auto parsed =
      bare_v6 ? wire::host{*bare_v6} : wire::host::parse(*destination).value_or(wire::host{});
    if (parsed.empty())
      return fail_field("destination", "is neither an address nor a name");
    host = parsed;
  }
  out.flow.destination = host.address();
  out.name = std::string{host.name()};
  if (*protocol == "udp")
    out.flow.protocol = model::protocol::udp;
  else if (*protocol == "icmp")
    out.flow.protocol = model::protocol::icmp;
  else if (!protocol->empty() && *protocol != "tcp")
    return fail_field("protocol", "must be tcp, udp or icmp");
  if (auto at = body.find("revision"); at != body.end() && !at->is_null()) {
    if (!at->is_number_unsigned())
      return fail_field("revision", "must be a number");
    out.at = revision{at->get<std::uint64_t>()};
  }
  return out;
}

} // namespace marchproxy::api

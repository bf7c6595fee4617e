// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/wire/http1.hpp"

#include "nodes/wire/http1_bytes.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace marchproxy::wire {

namespace {

/// Takes `HTTP/1.0` or `HTTP/1.1`.
std::optional<std::uint8_t> minor_version(std::string_view text) noexcept {
  if (text == "HTTP/1.1")
    return 1;
  if (text == "HTTP/1.0")
    return 0;
  return std::nullopt;
}

/// Framing as the fields state it, before the exceptions for methods and statuses (RFC 9112 6.3).
http1_error frame(const field_list& fields, std::uint8_t minor, body_framing& out) noexcept {
  auto lengths = fields.count("content-length");
  auto codings = fields.count("transfer-encoding");
  out = {};
  // RFC 9112 6.1, 11.2: both together, or any doubt about either, means smuggling; refuse.
  if (lengths > 0 && codings > 0)
    return http1_error::framing_conflict;
  if (codings > 0) {
    if (codings > 1 || minor == 0 || !iequals(*fields.find("transfer-encoding"), "chunked"))
      return http1_error::transfer_encoding;
    out.kind = body_kind::chunked;
    return http1_error::none;
  }
  if (lengths == 0)
    return http1_error::none;
  auto text = *fields.find("content-length");
  std::int64_t length = 0;
  const auto* end = text.data() + text.size();
  auto [next, ec] = std::from_chars(text.data(), end, length);
  if (lengths > 1 || ec != std::errc{} || next != end || text.front() == '-')
    return http1_error::content_length;
  if (length > 0)
    out = {body_kind::length, static_cast<std::uint64_t>(length)};
  return http1_error::none;
}

bool persists(const field_list& fields, std::uint8_t minor) noexcept {
  if (fields.lists("connection", "close"))
    return false;
  return minor == 1 || fields.lists("connection", "keep-alive");
}

bool is_path(std::string_view text) noexcept {
  if (!all_are(text, byte_class::url))
    return false;
  auto path = text.substr(0, text.find('?'));
  for (std::size_t i = 0; i < path.size(); ++i) {
    // Some servers read a backslash as a slash, some a bad escape as a byte: refuse both.
    if (path[i] == '\\')
      return false;
    if (path[i] == '%'
        && (i + 2 >= path.size() || !is_a(path[i + 1], byte_class::hex)
            || !is_a(path[i + 2], byte_class::hex)))
      return false;
  }
  return true;
}

} // namespace

std::string_view to_string(http1_error e) noexcept {
  switch (e) {
  case http1_error::none:
    return "no error";
  case http1_error::line_ending:
    return "a line does not end in CRLF";
  case http1_error::head_too_large:
    return "the message head is too large";
  case http1_error::too_many_fields:
    return "too many header fields";
  case http1_error::method:
    return "the method is malformed";
  case http1_error::target:
    return "the request target is malformed";
  case http1_error::version:
    return "the version is neither HTTP/1.1 nor HTTP/1.0";
  case http1_error::status_line:
    return "the status line is malformed";
  case http1_error::field_name:
    return "a header field has no valid name";
  case http1_error::field_value:
    return "a header field value has a control byte";
  case http1_error::obs_fold:
    return "a header field is folded over lines";
  case http1_error::host:
    return "Host is missing, repeated or malformed";
  case http1_error::content_length:
    return "Content-Length is repeated or malformed";
  case http1_error::transfer_encoding:
    return "Transfer-Encoding is not exactly chunked";
  case http1_error::framing_conflict:
    return "Content-Length and Transfer-Encoding are both present";
  case http1_error::chunk_size:
    return "a chunk size is malformed";
  case http1_error::chunk_extension:
    return "chunk extensions are malformed or too large";
  case http1_error::chunk_end:
    return "a chunk is not followed by CRLF";
  case http1_error::trailer:
    return "the trailer section is malformed or too large";
  }
  return "malformed";
}

std::uint16_t status_of(http1_error e) noexcept {
  if (e == http1_error::head_too_large || e == http1_error::too_many_fields)
    return 431;
  if (e == http1_error::version)
    return 505;
  return 400;
}

parse_state begins_request(std::string_view in) noexcept {
  constexpr std::size_t longest_method = 24;
  const auto* end = std::find_if_not(in.begin(), in.end(),
                                     [](char c) { return (c >= 'A' && c <= 'Z') || c == '-'; });
  const auto method = static_cast<std::size_t>(end - in.begin());
  if (method > longest_method)
    return parse_state::error;
  if (end == in.end())
    return parse_state::need_more;
  return method > 0 && *end == ' ' ? parse_state::complete : parse_state::error;
}

head_scanner::outcome head_scanner::scan(std::string_view in) noexcept {
  auto bounded = in.substr(0, max_head_bytes);
  while (seen_ < bounded.size()) {
    const auto* found =
      static_cast<const char*>(std::memchr(bounded.data() + seen_, '\n', bounded.size() - seen_));
    if (found == nullptr) {
      seen_ = bounded.size();
      break;
    }
    auto at = static_cast<std::size_t>(found - bounded.data());
    if (at == 0 || bounded[at - 1] != '\r')
      return {parse_state::error, 0, http1_error::line_ending};
    seen_ = at + 1;
    if (at >= 3 && bounded[at - 2] == '\n')
      return {parse_state::complete, seen_, http1_error::none};
  }
  if (in.size() >= max_head_bytes)
    return {parse_state::error, 0, http1_error::head_too_large};
  return {};
}

http1_error request_head::parse(std::string_view head) noexcept {
  // RFC 9112 2.2: one empty line before the request line is ignored.
  if (head.starts_with("\r\n"))
    head.remove_prefix(2);
  auto line_end = head.find("\r\n");
  if (line_end == std::string_view::npos || !head.ends_with("\r\n\r\n"))
    return http1_error::line_ending;
  auto line = head.substr(0, line_end);
  auto first = line.find(' ');
  auto last = line.rfind(' ');
  method = line.substr(0, first);
  if (first == std::string_view::npos || !is_token(method) || method.size() > 32)
    return http1_error::method;
  if (first == last)
    return http1_error::version;
  target = line.substr(first + 1, last - first - 1);
  auto version = minor_version(line.substr(last + 1));
  if (!version)
    return http1_error::version;
  minor = *version;
  if (auto e = parse_target(); e != http1_error::none)
    return e;
  auto rest = head.substr(line_end + 2);
  if (auto e = fields.parse(rest.substr(0, rest.size() - 2)); e != http1_error::none)
    return e;
  if (auto e = parse_host(); e != http1_error::none)
    return e;
  keep_alive = persists(fields, minor);
  expect_continue = minor == 1 && fields.lists("expect", "100-continue");
  return frame(fields, minor, body);
}

http1_error request_head::parse_target() noexcept {
  authority = {};
  path = {};
  if (method == "CONNECT") {
    auto parsed = parse_host_port(target);
    if (!parsed || parsed->port == 0)
      return http1_error::target;
    form = target_form::authority;
    authority = *parsed;
    return http1_error::none;
  }
  if (target == "*") {
    form = target_form::asterisk;
    path = target;
    return method == "OPTIONS" ? http1_error::none : http1_error::target;
  }
  if (target.starts_with('/')) {
    form = target_form::origin;
    path = target;
    return is_path(path) ? http1_error::none : http1_error::target;
  }
  auto colon = target.find("://");
  if (colon == std::string_view::npos)
    return http1_error::target;
  auto name = target.substr(0, colon);
  if (!iequals(name, "http") && !iequals(name, "https"))
    return http1_error::target;
  scheme = name.size() == 4 ? url_scheme::http : url_scheme::https;
  return parse_absolute(target.substr(colon + 3));
}

http1_error request_head::parse_absolute(std::string_view rest) noexcept {
  form = target_form::absolute;
  auto end = rest.find_first_of("/?");
  auto parsed = parse_host_port(rest.substr(0, end));
  if (!parsed)
    return http1_error::target;
  authority = *parsed;
  path = end == std::string_view::npos ? std::string_view{} : rest.substr(end);
  return is_path(path) ? http1_error::none : http1_error::target;
}

http1_error request_head::parse_host() noexcept {
  auto count = fields.count("host");
  if (count > 1 || (count == 0 && minor == 1))
    return http1_error::host;
  if (count == 0)
    return http1_error::none;
  auto text = *fields.find("host");
  if (text.empty())
    return http1_error::none;
  auto parsed = parse_host_port(text);
  if (!parsed)
    return http1_error::host;
  // RFC 9112 3.2.2: a target's own authority wins over Host.
  if (form == target_form::origin || form == target_form::asterisk)
    authority = *parsed;
  return http1_error::none;
}

http1_error response_head::parse(std::string_view head, std::string_view method) noexcept {
  auto line_end = head.find("\r\n");
  if (line_end == std::string_view::npos || !head.ends_with("\r\n\r\n"))
    return http1_error::line_ending;
  auto line = head.substr(0, line_end);
  auto version = minor_version(line.substr(0, 8));
  if (!version)
    return http1_error::version;
  minor = *version;
  // The reason may be missing; the space before it may then be missing too, as many servers have
  // it.
  if (line.size() < 12 || line[8] != ' ' || (line.size() > 12 && line[12] != ' '))
    return http1_error::status_line;
  auto [next, ec] = std::from_chars(line.data() + 9, line.data() + 12, status);
  if (ec != std::errc{} || next != line.data() + 12 || status < 100 || status > 599)
    return http1_error::status_line;
  reason = line.size() > 13 ? line.substr(13) : std::string_view{};
  if (!is_field_text(reason))
    return http1_error::status_line;
  auto rest = head.substr(line_end + 2);
  if (auto e = fields.parse(rest.substr(0, rest.size() - 2)); e != http1_error::none)
    return e;
  if (auto e = frame(fields, minor, body); e != http1_error::none)
    return e;
  keep_alive = persists(fields, minor);
  if (method == "HEAD" || status < 200 || status == 204 || status == 304
      || (method == "CONNECT" && status < 300)) {
    body = {};
  } else if (body.kind == body_kind::none && fields.count("content-length") == 0) {
    body.kind = body_kind::until_close;
    keep_alive = false;
  }
  return http1_error::none;
}

} // namespace marchproxy::wire

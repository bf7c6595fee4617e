// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/http_rules.hpp"

#include <algorithm>
#include <array>

namespace marchproxy::model {

namespace {

constexpr bool is_visible(char c) noexcept {
  return c > 0x20 && c < 0x7f;
}

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Takes one dot, `.` or `%2e`, off the front.
bool take_dot(std::string_view& text) noexcept {
  if (text.substr(0, 1) == ".") {
    text.remove_prefix(1);
    return true;
  }
  if (text.size() >= 3 && text[0] == '%' && text[1] == '2' && lower(text[2]) == 'e') {
    text.remove_prefix(3);
    return true;
  }
  return false;
}

bool is_dot_segment(std::string_view segment) noexcept {
  if (!take_dot(segment))
    return false;
  return segment.empty() || (take_dot(segment) && segment.empty());
}

bool is_token_character(char c) noexcept {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
         || marks.find(c) != std::string_view::npos;
}

/// In lower case.
bool is_field_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 255
         && std::all_of(name.begin(), name.end(), is_token_character);
}

/// RFC 9110 7.6.1, RFC 9112 6, who the message is for, and who its client is by certificate.
constexpr std::array<std::string_view, 13> governed{
  "connection",
  "content-length",
  "host",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
  "x-client-cert-subject",
};

} // namespace

bool has_dot_segment(std::string_view path) noexcept {
  while (!path.empty()) {
    const auto slash = std::min(path.find('/'), path.size());
    if (is_dot_segment(path.substr(0, slash)))
      return true;
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return false;
}

bool is_route_path(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 255 && text.front() == '/'
         && std::all_of(text.begin(), text.end(),
                        [](char c) { return is_visible(c) && c != '#' && c != '?'; })
         && text.find("//") == std::string_view::npos && !has_dot_segment(text);
}

bool is_location(std::string_view text) noexcept {
  if (!std::all_of(text.begin(), text.end(), is_visible))
    return false;
  for (const std::string_view scheme : {"http://", "https://"})
    if (text.substr(0, scheme.size()) == scheme)
      return text.size() > scheme.size() && text[scheme.size()] != '/';
  // `//host` would be another server's.
  return text.substr(0, 1) == "/" && text.substr(0, 2) != "//" && text.substr(0, 2) != "/\\";
}

bool is_redirect_status(unsigned status) noexcept {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_changeable_header(std::string_view name) noexcept {
  return is_field_name(name) && std::find(governed.begin(), governed.end(), name) == governed.end();
}

bool is_condition_header(std::string_view name) noexcept {
  return is_field_name(name) && name != "host" && name != "x-client-cert-subject";
}

bool is_header_value(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return is_visible(c) || c == ' '; })
         && (text.empty() || (text.front() != ' ' && text.back() != ' '));
}

bool is_uri(std::string_view text) noexcept {
  const auto colon = text.find(':');
  return text.size() <= 255 && colon != std::string_view::npos && colon > 0
         && colon + 1 < text.size() && std::all_of(text.begin(), text.end(), is_visible);
}

std::string lower_case(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

} // namespace marchproxy::model

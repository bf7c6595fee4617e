// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/identity/proxy_authorization.hpp"

#include "actors/crypto/encoding.hpp"
#include "actors/model/text_rules.hpp"

#include <algorithm>

namespace marchproxy::identity {

namespace {

constexpr std::size_t most_bytes = std::size_t{12} * 1024; // a JWT of 8 KiB inside Base64

bool same_scheme(std::string_view given, std::string_view scheme) noexcept {
  return std::equal(given.begin(), given.end(), scheme.begin(), scheme.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

bool is_visible_ascii(std::string_view text) noexcept {
  return !text.empty()
         && std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

result<presented> refuse(const char* why) {
  return fail(errc::unauthenticated, why);
}

} // namespace

result<presented> parse_proxy_authorization(std::string_view header) {
  if (header.size() > most_bytes)
    return refuse("Proxy-Authorization is too long");
  const auto space = header.find(' ');
  const auto start = header.find_first_not_of(' ', space);
  if (space == std::string_view::npos || start == std::string_view::npos)
    return refuse("Proxy-Authorization needs a scheme and a value");
  auto value = header.substr(start);
  value = value.substr(0, value.find_last_not_of(" \t") + 1);
  if (!is_visible_ascii(value))
    return refuse("Proxy-Authorization has a malformed value");
  const auto scheme = header.substr(0, space);
  if (same_scheme(scheme, "bearer"))
    return presented{{}, std::string{value}};
  if (!same_scheme(scheme, "basic"))
    return refuse("Proxy-Authorization must be Basic or Bearer");
  const auto decoded = crypto::from_base64(value);
  const auto colon = decoded ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos)
    return refuse("Proxy-Authorization: Basic is not base64 of service:token");
  presented out{decoded->substr(0, colon), decoded->substr(colon + 1)};
  if (!model::is_service_name(out.service) || !is_visible_ascii(out.secret))
    return refuse("Proxy-Authorization: Basic holds no service's name and token");
  return out;
}

} // namespace marchproxy::identity

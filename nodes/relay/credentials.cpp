// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/credentials.hpp"

#include "nodes/wire/http1.hpp"

#include <cstdint>

namespace marchproxy::relay {

namespace {

int digit_of(char c) noexcept {
  constexpr std::string_view digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  auto at = digits.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

/// RFC 4648 section 4, with or without padding.
std::optional<std::string> decode_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=')
    text.remove_suffix(1);
  if (text.size() % 4 == 1)
    return std::nullopt;
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (char c : text) {
    auto digit = digit_of(c);
    if (digit < 0)
      return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      out += static_cast<char>(bits >> held & 0xff);
    }
  }
  return out;
}

} // namespace

std::optional<credentials> parse_authorization(std::string_view value) {
  auto space = value.find(' ');
  auto scheme = value.substr(0, space);
  auto rest = space == std::string_view::npos ? std::string_view{} : value.substr(space + 1);
  if (rest.empty())
    return std::nullopt;
  if (wire::iequals(scheme, "bearer"))
    return credentials{{}, std::string{rest}};
  if (!wire::iequals(scheme, "basic"))
    return std::nullopt;
  auto text = decode_base64(rest);
  auto colon = text ? text->find(':') : std::string::npos;
  if (colon == std::string::npos)
    return std::nullopt;
  return credentials{text->substr(0, colon), text->substr(colon + 1)};
}

} // namespace marchproxy::relay

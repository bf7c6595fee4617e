// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace marchproxy::wire {

/// Classes of bytes, one bit each (RFC 9110 5.6.2 and 5.5, RFC 3986).
namespace byte_class {
constexpr std::uint8_t token = 1;
constexpr std::uint8_t field_text = 2; ///< visible, space, tab and obs-text: all but control bytes
constexpr std::uint8_t url = 4;        ///< visible ASCII without `"#<>`, which no client writes raw
constexpr std::uint8_t hex = 8;
} // namespace byte_class

constexpr std::array<std::uint8_t, 256> byte_classes = [] {
  std::array<std::uint8_t, 256> out{};
  for (unsigned c = 0; c < 256; ++c) {
    bool digit = c >= '0' && c <= '9';
    bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    bool mark =
      std::string_view{"!#$%&'*+-.^_`|~"}.find(static_cast<char>(c)) != std::string_view::npos;
    if (digit || alpha || (c < 0x80 && c != 0 && mark))
      out[c] |= byte_class::token;
    if (c == '\t' || (c >= 0x20 && c != 0x7f))
      out[c] |= byte_class::field_text;
    if (c > 0x20 && c < 0x7f && c != '"' && c != '#' && c != '<' && c != '>')
      out[c] |= byte_class::url;
    if (digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
      out[c] |= byte_class::hex;
  }
  return out;
}();

[[nodiscard]] constexpr bool is_a(char c, std::uint8_t which) noexcept {
  return (byte_classes[static_cast<std::uint8_t>(c)] & which) != 0;
}

[[nodiscard]] constexpr bool all_are(std::string_view text, std::uint8_t which) noexcept {
  return std::all_of(text.begin(), text.end(), [which](char c) { return is_a(c, which); });
}

[[nodiscard]] constexpr bool is_token(std::string_view text) noexcept {
  return !text.empty() && all_are(text, byte_class::token);
}

[[nodiscard]] constexpr bool is_field_text(std::string_view text) noexcept {
  return all_are(text, byte_class::field_text);
}

[[nodiscard]] constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

} // namespace marchproxy::wire

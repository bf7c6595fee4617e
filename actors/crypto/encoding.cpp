// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/encoding.hpp"

#include <cstddef>
#include <cstdint>

namespace marchproxy::crypto {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr std::string_view base32_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::string_view base64_digits =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view base64url_digits =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string pack(std::string_view bytes, std::string_view digits, unsigned width) {
  std::string text;
  text.reserve((bytes.size() * 8 + width - 1) / width);
  std::uint32_t held = 0;
  unsigned bits = 0;
  for (const char c : bytes) {
    held = (held << 8) | static_cast<std::uint8_t>(c);
    bits += 8;
    for (; bits >= width; bits -= width)
      text += digits[(held >> (bits - width)) & ((1U << width) - 1)];
  }
  if (bits > 0)
    text += digits[(held << (width - bits)) & ((1U << width) - 1)];
  return text;
}

std::optional<std::string> unpack(std::string_view text, std::string_view digits, unsigned width) {
  std::string bytes;
  bytes.reserve(text.size() * width / 8);
  std::uint32_t held = 0;
  unsigned bits = 0;
  for (const char c : text) {
    const auto digit = digits.find(c);
    if (digit == std::string_view::npos)
      return std::nullopt;
    held = (held << width) | static_cast<std::uint32_t>(digit);
    bits += width;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>((held >> bits) & 0xFF);
    }
  }
  // A whole digit left over, or bits that say nothing: another text would mean the same bytes.
  if (bits >= width || (held & ((1U << bits) - 1)) != 0)
    return std::nullopt;
  return bytes;
}

} // namespace

std::string to_hex(std::string_view bytes) {
  return pack(bytes, hex_digits, 4);
}

std::optional<std::string> from_hex(std::string_view text) {
  std::string lower{text};
  for (auto& c : lower)
    if (c >= 'A' && c <= 'F')
      c = static_cast<char>(c - 'A' + 'a');
  return unpack(lower, hex_digits, 4);
}

std::string to_base64(std::string_view bytes) {
  auto text = pack(bytes, base64_digits, 6);
  while (text.size() % 4 != 0)
    text += '=';
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0)
    return std::nullopt;
  for (int pad = 0; pad < 2 && text.ends_with('='); ++pad)
    text.remove_suffix(1);
  return unpack(text, base64_digits, 6);
}

std::string to_base64url(std::string_view bytes) {
  return pack(bytes, base64url_digits, 6);
}

std::optional<std::string> from_base64url(std::string_view text) {
  return unpack(text, base64url_digits, 6);
}

std::string to_base32(std::string_view bytes) {
  return pack(bytes, base32_digits, 5);
}

std::optional<std::string> from_base32(std::string_view text) {
  return unpack(text, base32_digits, 5);
}

} // namespace marchproxy::crypto

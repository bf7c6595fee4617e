// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/text_rules.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace marchproxy::model {

namespace {

bool is_lower(char c) noexcept {
  return c >= 'a' && c <= 'z';
}
bool is_upper(char c) noexcept {
  return c >= 'A' && c <= 'Z';
}
bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
bool is_alnum(char c) noexcept {
  return is_lower(c) || is_upper(c) || is_digit(c);
}

struct code_point {
  std::uint32_t value = 0;
  std::size_t length = 0; ///< 0: not UTF-8
};

code_point decode_utf8(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80)
    return {lead, 1};
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length)
    return {};
  std::uint32_t value = lead & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80)
      return {};
    value = (value << 6) | (byte(i) & 0x3fU);
  }
  constexpr std::array<std::uint32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < smallest[length] || surrogate || value > 0x10ffff)
    return {};
  return {value, length};
}

bool is_control(std::uint32_t c) noexcept {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f);
}
bool reorders(std::uint32_t c) noexcept {
  return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

} // namespace

std::optional<std::string_view> text_fault(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto c = decode_utf8(text);
    if (c.length == 0)
      return "is not valid UTF-8";
    if (is_control(c.value))
      return "must not contain control characters";
    if (reorders(c.value))
      return "must not contain characters that change the direction of text";
    text.remove_prefix(c.length);
  }
  return std::nullopt;
}

bool is_cluster_name(std::string_view text) noexcept {
  const auto plain = [](char c) { return is_lower(c) || is_digit(c); };
  return !text.empty() && text.size() <= 63 && plain(text.front()) && plain(text.back())
         && std::all_of(text.begin(), text.end(), [&](char c) { return plain(c) || c == '-'; });
}

bool is_service_name(std::string_view text) noexcept {
  const auto allowed = [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; };
  return !text.empty() && text.size() <= 100 && is_alnum(text.front())
         && std::all_of(text.begin(), text.end(), allowed);
}

bool is_credential_id(std::string_view text) noexcept {
  const auto allowed = [](char c) { return is_alnum(c) || c == '_' || c == '-'; };
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), allowed);
}

bool is_http_path(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 255 && text.front() == '/'
         && std::all_of(text.begin(), text.end(),
                        [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
}

std::optional<std::string_view> nearest_name(std::string_view name,
                                             std::span<const std::string_view> candidates) {
  if (name.size() > 64)
    return std::nullopt; // no field is that long, and the distance costs length times length
  std::optional<std::string_view> best;
  std::size_t best_distance = 3;
  for (const auto candidate : candidates) {
    const auto distance = edit_distance(name, candidate);
    if (distance < best_distance && distance * 2 < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string printable(std::string_view text) {
  std::string out{text.substr(0, 64)};
  std::replace_if(
    out.begin(), out.end(), [](char c) { return c < 0x20 || c >= 0x7f; }, '?');
  if (text.size() > 64)
    out += "...";
  return out;
}

} // namespace marchproxy::model

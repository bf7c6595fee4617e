// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/wire/http1.hpp"
#include "nodes/wire/http1_bytes.hpp"

#include <algorithm>

namespace marchproxy::wire {

namespace {

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

} // namespace

bool iequals(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return to_lower(x) == to_lower(y);
         });
}

std::string_view take_element(std::string_view& list) noexcept {
  auto comma = std::min(list.find(','), list.size());
  auto element = trimmed(list.substr(0, comma));
  list.remove_prefix(std::min(comma + 1, list.size()));
  return element;
}

bool has_token(std::string_view value, std::string_view token) noexcept {
  while (!value.empty())
    if (iequals(take_element(value), token))
      return true;
  return false;
}

bool fits_trailer(std::string_view name) noexcept {
  constexpr std::array<std::string_view, 33> never = {"accept-encoding",
                                                      "age",
                                                      "authorization",
                                                      "cache-control",
                                                      "connection",
                                                      "content-encoding",
                                                      "content-length",
                                                      "content-range",
                                                      "content-type",
                                                      "cookie",
                                                      "date",
                                                      "expect",
                                                      "expires",
                                                      "forwarded",
                                                      "host",
                                                      "if-match",
                                                      "if-modified-since",
                                                      "if-none-match",
                                                      "if-range",
                                                      "if-unmodified-since",
                                                      "keep-alive",
                                                      "location",
                                                      "max-forwards",
                                                      "pragma",
                                                      "range",
                                                      "retry-after",
                                                      "set-cookie",
                                                      "te",
                                                      "trailer",
                                                      "transfer-encoding",
                                                      "upgrade",
                                                      "vary",
                                                      "via"};
  constexpr std::array<std::string_view, 5> families = {"proxy-", "sec-", "www-authenticate",
                                                        "x-client-cert-", "x-forwarded-"};
  return std::none_of(never.begin(), never.end(),
                      [&](std::string_view one) { return iequals(name, one); })
         && std::none_of(families.begin(), families.end(), [&](std::string_view one) {
              return iequals(name.substr(0, one.size()), one);
            });
}

std::optional<std::string_view> field_list::find(std::string_view name) const noexcept {
  const auto* found =
    std::find_if(begin(), end(), [&](const field& f) { return iequals(f.name, name); });
  return found == end() ? std::nullopt : std::optional{found->value};
}

std::size_t field_list::count(std::string_view name) const noexcept {
  return static_cast<std::size_t>(
    std::count_if(begin(), end(), [&](const field& f) { return iequals(f.name, name); }));
}

bool field_list::lists(std::string_view name, std::string_view token) const noexcept {
  return std::any_of(begin(), end(), [&](const field& f) {
    return iequals(f.name, name) && has_token(f.value, token);
  });
}

bool field_list::is_hop_by_hop(const field& f) const noexcept {
  constexpr std::array<std::string_view, 6> always = {"connection", "keep-alive",        "te",
                                                      "trailer",    "transfer-encoding", "upgrade"};
  constexpr std::string_view proxy = "proxy-";
  return iequals(f.name.substr(0, proxy.size()), proxy)
         || std::any_of(always.begin(), always.end(),
                        [&](std::string_view name) { return iequals(f.name, name); })
         || (lists("connection", f.name) && !iequals(f.name, "content-length"));
}

http1_error field_list::parse(std::string_view lines) noexcept {
  size_ = 0;
  while (!lines.empty()) {
    auto end = lines.find("\r\n");
    if (end == std::string_view::npos)
      return http1_error::line_ending;
    auto line = lines.substr(0, end);
    lines.remove_prefix(end + 2);
    if (line.empty())
      return http1_error::field_name;
    if (line.front() == ' ' || line.front() == '\t')
      return http1_error::obs_fold;
    auto colon = line.find(':');
    // A name that ends in a space is no token, so whitespace before the colon is refused here (RFC
    // 9112 5.1).
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
      return http1_error::field_name;
    auto value = trimmed(line.substr(colon + 1));
    if (!is_field_text(value))
      return value.find('\r') == std::string_view::npos ? http1_error::field_value
                                                        : http1_error::line_ending;
    if (size_ == max_fields)
      return http1_error::too_many_fields;
    fields_[size_++] = {line.substr(0, colon), value};
  }
  return http1_error::none;
}

} // namespace marchproxy::wire

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/host.hpp"

#include <algorithm>
#include <charconv>

namespace marchproxy::wire {

namespace {

constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

constexpr bool is_hex(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'f');
}

bool is_label(std::string_view label) noexcept {
  if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-')
    return false;
  return std::all_of(label.begin(), label.end(), [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
  });
}

bool is_number(std::string_view label) noexcept {
  if (std::all_of(label.begin(), label.end(), is_digit))
    return true;
  return label.starts_with("0x") && std::all_of(label.begin() + 2, label.end(), is_hex);
}

bool is_name(std::string_view name) noexcept {
  std::string_view label;
  for (std::size_t at = 0; at <= name.size();) {
    auto dot = std::min(name.find('.', at), name.size());
    label = name.substr(at, dot - at);
    if (!is_label(label))
      return false;
    at = dot + 1;
  }
  return !is_number(label);
}

} // namespace

std::optional<host> host::parse(std::string_view text) noexcept {
  if (text.size() > 2 && text.front() == '[') {
    auto inner = text.substr(1, text.size() - 2);
    if (text.back() != ']' || inner.find(':') == std::string_view::npos)
      return std::nullopt;
    auto address = parse_ip(inner);
    return address ? std::optional{host{*address}} : std::nullopt;
  }
  if (text.find(':') != std::string_view::npos)
    return std::nullopt;
  if (auto address = parse_ip(text))
    return host{*address};
  if (text.size() > 1 && text.back() == '.')
    text.remove_suffix(1);
  if (text.empty() || text.size() > max_name)
    return std::nullopt;
  host out;
  std::transform(text.begin(), text.end(), out.name_.begin(), lower);
  out.size_ = static_cast<std::uint8_t>(text.size());
  return is_name(out.name()) ? std::optional{out} : std::nullopt;
}

std::string host::text() const {
  if (!address_)
    return std::string{name()};
  return address_->family == ip_family::v4 ? to_string(*address_)
                                           : "[" + to_string(*address_) + "]";
}

std::string host_port::text() const {
  auto out = host.text();
  if (port != 0)
    out += ":" + std::to_string(port);
  return out;
}

std::optional<host_port> parse_host_port(std::string_view text) noexcept {
  host_port out;
  auto bracket = text.rfind(']');
  auto colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    auto digits = text.substr(colon + 1);
    auto [next, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
    if (ec != std::errc{} || next != digits.data() + digits.size() || digits.size() > 5
        || out.port == 0)
      return std::nullopt;
  }
  auto parsed = host::parse(text.substr(0, colon));
  if (!parsed)
    return std::nullopt;
  out.host = *parsed;
  return out;
}

} // namespace marchproxy::wire

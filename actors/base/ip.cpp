// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/ip.hpp"

#include "actors/base/error.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace marchproxy {

namespace {

constexpr std::array<std::uint8_t, 12> mapped_head = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<ip_address> parse_v4(std::string_view text) noexcept {
  ip_address out;
  std::size_t octet = 0;
  const auto* at = text.data();
  const auto* end = text.data() + text.size();
  while (octet < 4) {
    unsigned value = 0;
    auto [next, ec] = std::from_chars(at, end, value);
    auto digits = next - at;
    if (ec != std::errc{} || value > 255 || digits > 3 || (digits > 1 && *at == '0'))
      return std::nullopt;
    out.bytes[octet++] = static_cast<std::uint8_t>(value);
    at = next;
    if (octet < 4) {
      if (at == end || *at != '.')
        return std::nullopt;
      ++at;
    }
  }
  return at == end ? std::optional{out} : std::nullopt;
}

bool same_bits(const ip_address& a, const ip_address& b, unsigned length) noexcept {
  auto whole = length / 8;
  if (!std::equal(a.bytes.begin(), a.bytes.begin() + whole, b.bytes.begin()))
    return false;
  auto rest = length % 8;
  if (rest == 0)
    return true;
  auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
  return (a.bytes[whole] & mask) == (b.bytes[whole] & mask);
}

} // namespace

ip_address ip_address::v4(std::uint32_t host_order) noexcept {
  ip_address out;
  for (std::size_t i = 0; i < 4; ++i)
    out.bytes[i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
  return out;
}

ip_address ip_address::v6(const std::array<std::uint8_t, 16>& network_order) noexcept {
  ip_address out;
  if (std::equal(mapped_head.begin(), mapped_head.end(), network_order.begin())) {
    std::copy(network_order.begin() + 12, network_order.end(), out.bytes.begin());
    return out;
  }
  out.family = ip_family::v6;
  out.bytes = network_order;
  return out;
}

std::uint32_t ip_address::v4_host_order() const noexcept {
  MP_INVARIANT(family == ip_family::v4);
  return static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16
         | static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3];
}

std::optional<ip_address> parse_ip(std::string_view text) noexcept {
  if (text.find(':') == std::string_view::npos)
    return parse_v4(text);
  std::array<char, 64> buffer{};
  if (text.size() >= buffer.size() || text.find('\0') != std::string_view::npos)
    return std::nullopt;
  std::memcpy(buffer.data(), text.data(), text.size());
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(AF_INET6, buffer.data(), bytes.data()) != 1)
    return std::nullopt;
  return ip_address::v6(bytes);
}

std::string to_string(const ip_address& address) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (address.family == ip_family::v4) {
    // inet_ntop() goes through printf, which costs more than all else in a log line.
    auto* at = buffer.data();
    for (std::size_t i = 0; i < 4; ++i) {
      if (i != 0)
        *at++ = '.';
      at = std::to_chars(at, buffer.data() + buffer.size(), address.bytes[i]).ptr;
    }
    return {buffer.data(), at};
  }
  inet_ntop(AF_INET6, address.bytes.data(), buffer.data(), buffer.size());
  return buffer.data();
}

bool ip_prefix::contains(const ip_address& address) const noexcept {
  return address.family == base.family && same_bits(base, address, length);
}

bool ip_prefix::contains(const ip_prefix& narrower) const noexcept {
  return narrower.length >= length && contains(narrower.base);
}

std::optional<ip_prefix> parse_prefix(std::string_view text) noexcept {
  auto slash = text.find('/');
  auto address = parse_ip(text.substr(0, slash));
  if (!address)
    return std::nullopt;
  if (slash == std::string_view::npos)
    return ip_prefix{*address, static_cast<std::uint8_t>(address->width())};
  auto digits = text.substr(slash + 1);
  unsigned length = 0;
  auto [next, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (ec != std::errc{} || next != digits.data() + digits.size() || length > address->width()
      || (digits.size() > 1 && digits[0] == '0'))
    return std::nullopt;
  auto prefix = make_prefix(*address, static_cast<std::uint8_t>(length));
  if (prefix.base != *address)
    return std::nullopt;
  return prefix;
}

std::string to_string(const ip_prefix& prefix) {
  auto text = to_string(prefix.base);
  if (prefix.length != prefix.base.width())
    text += "/" + std::to_string(prefix.length);
  return text;
}

ip_prefix make_prefix(ip_address address, std::uint8_t length) noexcept {
  for (unsigned i = 0; i < 16; ++i) {
    if (8 * i >= length)
      address.bytes[i] = 0;
    else if (8 * i + 8 > length)
      address.bytes[i] =
        static_cast<std::uint8_t>(address.bytes[i] & (0xff << (8 * i + 8 - length)));
  }
  return {address, length};
}

const std::array<special_prefix, 22>& special_prefixes() noexcept {
  static const auto table = [] {
    struct row {
      std::string_view prefix;
      std::string_view name;
      bool site = false;
    };
    constexpr std::array<row, 22> rows = {{
      {"0.0.0.0/8", "unspecified"},
      {"10.0.0.0/8", "private", true},
      {"100.64.0.0/10", "carrier-grade NAT", true},
      {"127.0.0.0/8", "loopback"},
      {"169.254.0.0/16", "link-local and metadata"},
      {"172.16.0.0/12", "private", true},
      {"192.0.0.0/24", "protocol assignments"},
      {"192.168.0.0/16", "private", true},
      {"198.18.0.0/15", "benchmarking", true},
      {"224.0.0.0/4", "multicast"},
      {"240.0.0.0/4", "reserved"},
      {"::/96", "unspecified, loopback and embedded IPv4"},
      {"::ffff:0:0:0/96", "translated IPv4"},
      {"64:ff9b::/96", "NAT64"},
      {"64:ff9b:1::/48", "NAT64"},
      {"100::/64", "discard"},
      {"2001::/32", "Teredo"},
      {"2002::/16", "6to4"},
      {"fc00::/7", "private", true},
      {"fe80::/10", "link-local"},
      {"fec0::/10", "site-local", true},
      {"ff00::/8", "multicast"},
    }};
    std::array<special_prefix, rows.size()> out{};
    for (std::size_t i = 0; i < rows.size(); ++i) {
      auto prefix = parse_prefix(rows[i].prefix);
      MP_INVARIANT(prefix.has_value());
      out[i] = {*prefix, rows[i].name, rows[i].site};
    }
    return out;
  }();
  return table;
}

namespace {

/// Null: in none.
const special_prefix* find_special(const ip_address& address) noexcept {
  const auto& table = special_prefixes();
  auto found = std::find_if(table.begin(), table.end(), [&](const special_prefix& row) {
    return row.prefix.contains(address);
  });
  return found == table.end() ? nullptr : found;
}

} // namespace

std::optional<std::string_view> special_range(const ip_address& address) noexcept {
  const auto* found = find_special(address);
  return found == nullptr ? std::nullopt : std::optional{found->name};
}

bool is_reserved(const ip_address& address) noexcept {
  const auto* found = find_special(address);
  return found != nullptr && !found->site;
}

} // namespace marchproxy

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy {

enum class ip_family : std::uint8_t { v4 = 4, v6 = 6 };

/// An IPv4 or IPv6 address in network byte order. IPv4 uses the first four bytes, the rest are 0.
/// An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is always held as the IPv4 address it means.
struct ip_address {
  ip_family family = ip_family::v4;
  std::array<std::uint8_t, 16> bytes{};

  auto operator<=>(const ip_address&) const = default;

  [[nodiscard]] static ip_address v4(std::uint32_t host_order) noexcept;
  [[nodiscard]] static ip_address v6(const std::array<std::uint8_t, 16>& network_order) noexcept;
  /// Bits of an address of this family: 32 or 128.
  [[nodiscard]] unsigned width() const noexcept { return family == ip_family::v4 ? 32 : 128; }
  /// The IPv4 address as a number. Only for family v4.
  [[nodiscard]] std::uint32_t v4_host_order() const noexcept;
};

/// Strict: dotted quad without leading zeros, or RFC 4291 text; no zone, no brackets, no port.
[[nodiscard]] std::optional<ip_address> parse_ip(std::string_view text) noexcept;
/// RFC 5952 for IPv6.
[[nodiscard]] std::string to_string(const ip_address& address);

/// Addresses whose first `length` bits equal those of `base`; the other bits of base are 0.
struct ip_prefix {
  ip_address base;
  std::uint8_t length = 0;

  auto operator<=>(const ip_prefix&) const = default;
  [[nodiscard]] bool contains(const ip_address& address) const noexcept;
  [[nodiscard]] bool contains(const ip_prefix& narrower) const noexcept;
};

/// `address` or `address/length`. Host bits beyond the length are an error, not silently cleared.
[[nodiscard]] std::optional<ip_prefix> parse_prefix(std::string_view text) noexcept;
/// `address/length`; a full-length prefix is written as the bare address.
[[nodiscard]] std::string to_string(const ip_prefix& prefix);
/// @p address with the bits after @p length cleared.
[[nodiscard]] ip_prefix make_prefix(ip_address address, std::uint8_t length) noexcept;

/// Why traffic to an address needs a mapping that says `allow_private` (POL-6); none for public
/// addresses. Covers unspecified, private, loopback, link-local and metadata, CGNAT, multicast,
/// reserved, and the IPv4 addresses embedded in 6to4 and NAT64 prefixes. Source: IANA
/// special-purpose registries, RFC 6890.
[[nodiscard]] std::optional<std::string_view> special_range(const ip_address& address) noexcept;

/// The prefixes behind special_range(), disjoint, IPv4 first.
struct special_prefix {
  ip_prefix prefix;
  std::string_view name;
  bool site = false; ///< of a site's own hosts, as any address elsewhere: private, carrier-grade
                     ///< NAT, benchmarking, site-local
};
[[nodiscard]] const std::array<special_prefix, 22>& special_prefixes() noexcept;

/// In a special range that is no site's: the machine itself, its link, a group, nobody, or an IPv4
/// address in disguise.
[[nodiscard]] bool is_reserved(const ip_address& address) noexcept;

} // namespace marchproxy

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/ip.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::wire {

/// Where somebody wants to go: a DNS name or an address, never both. Holds its own bytes.
class host {
public:
  static constexpr std::size_t max_name = 253;

  host() = default;
  explicit host(const ip_address& address) noexcept : address_(address) {}

  /// A dotted quad, an IPv6 address in brackets, or a DNS name (letters, digits, `-`, `_`; labels
  /// of 1 to 63 bytes; one final dot is dropped, upper case is lowered). A name whose last label is
  /// a number in any base is refused: resolvers and libc read `127.1`, `0x7f.1` and `2130706433` as
  /// addresses, so a check by name would be void (POL-6; source: WHATWG URL, "ends in a number").
  [[nodiscard]] static std::optional<host> parse(std::string_view text) noexcept;

  [[nodiscard]] bool empty() const noexcept { return size_ == 0 && !address_; }
  [[nodiscard]] const std::optional<ip_address>& address() const noexcept { return address_; }
  /// Empty for an address.
  [[nodiscard]] std::string_view name() const noexcept { return {name_.data(), size_}; }
  /// As in a URL: IPv6 in brackets.
  [[nodiscard]] std::string text() const;

private:
  std::optional<ip_address> address_;
  std::uint8_t size_ = 0;
  std::array<char, max_name> name_{};
};

struct host_port {
  wire::host host;
  std::uint16_t port = 0; ///< 0: none was written

  /// `host` or `host:port`, as in a URL.
  [[nodiscard]] std::string text() const;
};

/// `host` or `host:port` with a port of 1..65535 in decimal, at most five digits. No user
/// information.
[[nodiscard]] std::optional<host_port> parse_host_port(std::string_view text) noexcept;

} // namespace marchproxy::wire

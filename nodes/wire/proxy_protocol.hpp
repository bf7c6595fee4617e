// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/ip.hpp"
#include "nodes/wire/parse_state.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The PROXY protocol, versions 1 and 2: what a load balancer puts in front of a connection's bytes
/// to say who the client is. Source: haproxy.org, doc/proxy-protocol.txt.
namespace marchproxy::wire::proxy_protocol {

enum class version : std::uint8_t { v1 = 1, v2 = 2 };

/// A version 1 line has at most this many bytes, its CRLF included.
constexpr std::size_t max_v1 = 107;
/// A version 2 header with all its TLVs. The format allows 65,551; nobody needs them, and whoever
/// sends them may not make us hold them.
constexpr std::size_t max_v2 = 4096;

struct addresses {
  ip_address source;
  std::uint16_t source_port = 0;
  ip_address destination;
  std::uint16_t destination_port = 0;

  bool operator==(const addresses&) const = default;
};

struct parsed {
  parse_state state = parse_state::need_more;
  std::size_t consumed = 0; ///< bytes of the header when complete
  /// None when the header speaks for nobody: UNKNOWN or LOCAL (a health check of the load balancer
  /// itself), or a family other than IPv4 and IPv6. Then the connection's own addresses hold.
  std::optional<addresses> of;
};

/// @param in  the bytes received so far from the connection's first. What does not begin as a
/// header is an error: a port either expects one on every connection or on none, since a client
/// could forge what is optional.
[[nodiscard]] parsed parse(std::string_view in) noexcept;

/// A header for a TCP connection. Two families (a client of one, a server of the other) are both
/// written as IPv6, the IPv4 one mapped.
[[nodiscard]] std::string write(version v, const addresses& of);

/// A header of a connection that speaks for no client: UNKNOWN or LOCAL.
[[nodiscard]] std::string write_for_nobody(version v);

} // namespace marchproxy::wire::proxy_protocol

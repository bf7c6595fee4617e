// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/ip.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace marchproxy::forwarding {

using mac_address = std::array<std::uint8_t, 6>;

/// An Ethernet interface that is up.
struct link {
  int ifindex = 0;
  std::string name;
  mac_address address{};
  std::uint32_t mtu = 0; ///< bytes of an IP packet

  bool operator==(const link&) const = default;
};

/// A route of the main table.
struct route {
  ip_prefix to;
  std::uint32_t metric = 0;
  /// None: more than one next hop, a next hop of the other family, a type of service, an
  /// encapsulation, or a route that refuses: the kernel's own business.
  std::optional<int> ifindex;
  std::optional<ip_address> gateway; ///< none: the destination is on the link

  bool operator==(const route&) const = default;
};

/// A neighbour whose hardware address the kernel would use now.
struct neighbour {
  int ifindex = 0;
  ip_address address;
  mac_address hardware{};
  bool stale = false; ///< not confirmed lately

  bool operator==(const neighbour&) const = default;
};

/// What the kernel of this network namespace knows about getting packets on.
struct kernel_view {
  std::vector<link> links;
  std::vector<route> routes;
  std::vector<neighbour> neighbours;
  std::vector<ip_address> own; ///< addresses, broadcast and anycast ones included
  bool routes4 = false;        ///< IPv4 packets are forwarded at all (ip_forward)
  bool routes6 = false;
  /// Routing rules beyond the usual three tables: then the main table does not say where a packet
  /// goes.
  bool policy_routing = false;

  bool operator==(const kernel_view&) const = default;
};

} // namespace marchproxy::forwarding

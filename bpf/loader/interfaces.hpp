// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace marchproxy::tier_ebpf {

/// What a driver can do with XDP; the bits of <linux/netdev.h>, which Debian 12 has not got.
/// Source: Documentation/netlink/specs/netdev.yaml of the kernel.
constexpr std::uint64_t xdp_basic = 1;     ///< native programs
constexpr std::uint64_t xdp_redirect = 2;  ///< whose frames may be redirected
constexpr std::uint64_t xdp_takes = 4;     ///< frames that others redirect to it (ndo_xdp_xmit)
constexpr std::uint64_t xdp_zero_copy = 8; ///< AF_XDP sockets without a copy

/// A network interface of the calling thread's network namespace.
struct interface {
  int index = 0;
  std::string name;
  std::string kind; ///< `veth`, `vlan`, `bridge`, `bond`...; empty: a device of its own
  bool up = false;
  bool ethernet = false; ///< loopback is none
  std::array<std::uint8_t, 6> link_address{};
  /// Bits above; nothing where the kernel cannot tell (before Linux 6.3).
  std::optional<std::uint64_t> xdp;
};

/// @errors unavailable with the kernel's reason
[[nodiscard]] result<std::vector<interface>> interfaces();

} // namespace marchproxy::tier_ebpf

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/ip.hpp"

#include <array>
#include <cstdint>
#include <set>

namespace marchproxy::tier_ebpf {

/// Addresses by which packets reach this node: 16 bytes as in mp_address.
using address_bytes = std::array<std::uint8_t, 16>;
[[nodiscard]] address_bytes bytes_of(const ip_address& address) noexcept;

/// Every address of the calling thread's network namespace, the broadcast addresses of its networks
/// included.
[[nodiscard]] result<std::set<address_bytes>> node_addresses();

/// Makes the kernel map @p fd hold exactly @p wanted; additions come first.
[[nodiscard]] result<void> sync_addresses(int fd, const std::set<address_bytes>& wanted);

} // namespace marchproxy::tier_ebpf

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstddef>
#include <cstdint>

namespace marchproxy::packet_port {

/// An Ethernet frame in one piece, without check sequence, in a buffer of the port that received
/// it. Whoever holds the frame owns the buffer until a port takes it back by send, deliver or
/// release.
struct frame {
  std::byte* data = nullptr; ///< first byte of the destination's hardware address
  std::uint32_t size = 0;    ///< bytes
  std::uint64_t token = 0;   ///< the ports' own name for the buffer
};

/// Bytes that every buffer has from its frame's first.
constexpr std::size_t least_room = 256;

/// Frames that are moved at once, at most.
constexpr std::size_t most_in_burst = 64;

} // namespace marchproxy::packet_port

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstddef>

namespace marchproxy::net {

/// What this kernel can do with many UDP datagrams at once.
struct udp_offload {
  bool send = false;    ///< several of one size leave as one packet (UDP_SEGMENT)
  bool receive = false; ///< several of one sender and size arrive as one (UDP_GRO)
};
[[nodiscard]] udp_offload probe_udp_offload() noexcept;

/// From now on read() may give several datagrams of one sender as one (UDP_GRO), where the kernel
/// can.
void join_segments(int fd) noexcept;
/// Each datagram says to which of our addresses it was sent. For a socket of the unspecified
/// address, so that answers come from there.
void tell_destination(int fd) noexcept;
/// Each datagram says where it was sent before TPROXY diverted it.
void tell_original_destination(int fd) noexcept;
/// Whether another process is asked for what this one may not have, which takes a moment.
enum class widening : bool { alone, by_broker };
/// Room for @p bytes that wait to be read, or as much as the system lets us have.
void widen_receive_buffer(int fd, std::size_t bytes, widening how = widening::alone) noexcept;

} // namespace marchproxy::net

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace marchproxy::testing {

/// What an Ethernet frame is, read from the RFCs and from docs/architecture/tier-ebpf.md, without a
/// line of bpf/abi/parse.h: packet programs are held against it.
struct modelled_packet {
  using address = std::array<std::uint8_t, 16>; ///< IPv4 as ::ffff:a.b.c.d

  std::string_view outcome; ///< as the programs call it; empty: it has a tuple, to be judged
  bool ipv6 = false;
  address source{};
  address destination{};
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint8_t protocol = 0;
  bool first_fragment = false;
  bool later_fragment = false; ///< then it has no ports
  std::uint32_t fragment_id = 0;
  bool answer = false;     ///< SYN+ACK, echo reply
  bool tracked = false;    ///< belongs to a connection
  bool icmp_error = false; ///< then the tuple is the quoted packet's
  address reporter{};      ///< of an ICMP error with a tuple: who sent it
};

/// @param tags  whether up to two VLAN tags are looked behind
[[nodiscard]] modelled_packet model_packet(std::span<const std::uint8_t> frame, bool tags);

} // namespace marchproxy::testing

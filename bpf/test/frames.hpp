// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// Ethernet frames, well-formed or not, put together from parts.

#include "actors/base/ip.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace marchproxy::tier_ebpf::testing {

using bytes = std::vector<std::byte>;

inline void put8(bytes& to, unsigned value) {
  to.push_back(static_cast<std::byte>(value));
}
inline void put16(bytes& to, unsigned value) {
  put8(to, value >> 8 & 0xff);
  put8(to, value & 0xff);
}
inline bytes zeros(std::size_t count) {
  bytes out;
  out.reserve(128); // g++ 12 takes growth from 12 bytes for a write beyond them
  out.resize(count);
  return out;
}
inline bytes operator+(bytes left, const bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

constexpr unsigned fin = 0x01, syn = 0x02, rst = 0x04, ack = 0x10;

struct tcp_parts {
  std::uint16_t from = 40000;
  std::uint16_t to = 443;
  unsigned flags = syn;
  unsigned words = 5; ///< what the header says of its own length
  std::size_t payload = 0;
};
inline bytes tcp(const tcp_parts& p) {
  bytes out;
  put16(out, p.from);
  put16(out, p.to);
  out.resize(12);
  put8(out, p.words << 4);
  put8(out, p.flags);
  out.resize(20 + p.payload);
  return out;
}

inline bytes udp(std::uint16_t from, std::uint16_t to, std::size_t payload = 4, int lie = 0) {
  bytes out;
  put16(out, from);
  put16(out, to);
  put16(out, static_cast<unsigned>(static_cast<int>(8 + payload) + lie));
  out.resize(8 + payload);
  return out;
}

inline bytes icmp(unsigned type, std::uint16_t identifier = 7) {
  bytes out;
  put8(out, type);
  out.resize(4);
  put16(out, identifier);
  out.resize(16);
  return out;
}

struct ipv4_parts {
  std::string_view from = "10.0.0.1";
  std::string_view to = "8.8.8.8";
  unsigned protocol = IPPROTO_TCP;
  unsigned fragment = 0;     ///< flags and offset field
  unsigned id = 0;           ///< of the datagram
  std::size_t options = 0;   ///< bytes of them
  int length_lie = 0;        ///< added to the total length
  unsigned header_words = 0; ///< 0: the truth
  unsigned version = 4;
};
inline bytes ipv4(const ipv4_parts& p, const bytes& payload) {
  bytes out = zeros(12);
  put16(out, 0x0800);
  auto words = p.header_words != 0 ? p.header_words : static_cast<unsigned>(5 + p.options / 4);
  put8(out, p.version << 4 | words);
  put8(out, 0);
  put16(out,
        static_cast<unsigned>(static_cast<int>(20 + p.options + payload.size()) + p.length_lie));
  put16(out, p.id);
  put16(out, p.fragment);
  put8(out, 64);
  put8(out, p.protocol);
  put16(out, 0);
  for (auto address : {p.from, p.to}) {
    auto ip = *parse_ip(address);
    for (std::size_t i = 0; i < 4; ++i)
      put8(out, ip.bytes[i]);
  }
  return out + bytes(p.options, std::byte{1}) + payload; // 1: no operation
}

struct ipv6_parts {
  std::string_view from = "2001:db8::1";
  std::string_view to = "2001:db8:1::8";
  unsigned next = IPPROTO_TCP;
  int length_lie = 0;
  unsigned hop_limit = 64;
};
inline bytes ipv6(const ipv6_parts& p, const bytes& payload) {
  bytes out = zeros(12);
  put16(out, 0x86dd);
  put8(out, 0x60);
  out.resize(out.size() + 3);
  put16(out, static_cast<unsigned>(static_cast<int>(payload.size()) + p.length_lie));
  put8(out, p.next);
  put8(out, p.hop_limit);
  for (auto address : {p.from, p.to}) {
    auto ip = *parse_ip(address);
    // ip_address holds mapped addresses as IPv4; here they are wanted as they are written.
    auto mapped = ip.family == ip_family::v4;
    for (std::size_t i = 0; i < 16; ++i)
      put8(out, !mapped ? ip.bytes[i] : i < 10 ? 0 : i < 12 ? 0xff : ip.bytes[i - 12]);
  }
  return out + payload;
}

/// Hop-by-hop, routing or destination options header; @p fourth is a routing header's segments
/// left.
inline bytes extension(unsigned next, std::size_t units = 0, unsigned fourth = 0) {
  bytes out;
  put8(out, next);
  put8(out, static_cast<unsigned>(units));
  put8(out, 0);
  put8(out, fourth);
  out.resize(8 + units * 8);
  return out;
}

inline bytes fragment_header(unsigned next, unsigned offset_and_more, unsigned id = 0) {
  bytes out;
  put8(out, next);
  put8(out, 0);
  put16(out, offset_and_more);
  put16(out, 0);
  put16(out, id);
  return out;
}

/// An ICMP or ICMPv6 error about @p frame, of which it quotes @p quoted bytes behind the link
/// header.
inline bytes icmp_about(unsigned type, const bytes& frame, std::size_t quoted = 56) {
  constexpr std::size_t link = 14;
  bytes out;
  put8(out, type);
  out.resize(8);
  auto first = frame.begin() + link;
  auto count = std::min(quoted, frame.size() - link);
  out.insert(out.end(), first, first + static_cast<std::ptrdiff_t>(count));
  return out;
}

/// Only the first @p size bytes.
inline bytes cut(bytes frame, std::size_t size) {
  frame.resize(size);
  return frame;
}

} // namespace marchproxy::tier_ebpf::testing

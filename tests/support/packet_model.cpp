// SPDX-License-Identifier: AGPL-3.0-only
#include "tests/support/packet_model.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace marchproxy::testing {

namespace {

using bytes = std::span<const std::uint8_t>;

/// Ends the reading of a packet.
struct ended {
  std::string_view outcome;
};
constexpr ended malformed{"malformed"};

/// A piece of a frame. Reading behind its end ends the packet.
class piece {
public:
  explicit piece(bytes b) : bytes_(b) {}

  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] unsigned u8(std::size_t at) const {
    if (at >= bytes_.size())
      throw malformed;
    return bytes_[at];
  }
  [[nodiscard]] unsigned u16(std::size_t at) const { return u8(at) << 8 | u8(at + 1); }
  [[nodiscard]] std::uint32_t u32(std::size_t at) const {
    return static_cast<std::uint32_t>(u16(at)) << 16 | u16(at + 2);
  }
  [[nodiscard]] piece from(std::size_t at) const {
    if (at > bytes_.size())
      throw malformed;
    return piece{bytes_.subspan(at)};
  }
  [[nodiscard]] piece first(std::size_t count) const {
    if (count > bytes_.size())
      throw malformed;
    return piece{bytes_.first(count)};
  }

private:
  bytes bytes_;
};

modelled_packet::address address4(const piece& p, std::size_t at) {
  modelled_packet::address out{};
  out[10] = out[11] = 0xff;
  for (std::size_t i = 0; i < 4; ++i)
    out[12 + i] = static_cast<std::uint8_t>(p.u8(at + i));
  return out;
}

modelled_packet::address address6(const piece& p, std::size_t at) {
  modelled_packet::address out{};
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<std::uint8_t>(p.u8(at + i));
  return out;
}

bool is_mapped(const modelled_packet::address& a) {
  return std::all_of(a.begin(), a.begin() + 10, [](auto b) { return b == 0; }) && a[10] == 0xff
         && a[11] == 0xff;
}

constexpr unsigned icmp4 = 1, tcp = 6, udp = 17, hop_by_hop = 0, routing = 43, fragment = 44,
                   icmp6 = 58, destination_options = 60;

bool is_extension(unsigned next) {
  return next == hop_by_hop || next == routing || next == fragment || next == destination_options;
}

/// RFC 8200 section 4. @return what is behind the extension headers, and its protocol
std::pair<piece, unsigned> behind_extensions(piece rest, unsigned next, modelled_packet& out) {
  constexpr int most = 6;
  for (int seen = 0; is_extension(next); ++seen) {
    if (seen == most)
      throw malformed;
    static_cast<void>(rest.first(8));
    auto size = 8 + rest.u8(1) * 8;
    auto following = rest.u8(0);
    if (next == fragment) {
      size = 8;
      out.fragment_id = rest.u32(4);
      auto field = rest.u16(2);
      out.later_fragment = field >> 3 != 0;
      if (out.later_fragment)
        return {rest.from(8), following};
      out.first_fragment = out.first_fragment || (field & 1) != 0;
    } else if (next == routing && rest.u8(3) != 0) {
      throw ended{"unsupported_protocol"};
    }
    next = following;
    // A header that says to be longer than the packet is an error of who reads on, if any does.
    if (size > rest.size()) {
      if (is_extension(next))
        throw malformed;
      return {piece{{}}, next};
    }
    rest = rest.from(size);
  }
  return {rest, next};
}

/// What an ICMP error quotes, when that tells a connection of who gets the error.
void read_quote(const piece& quote, modelled_packet& out) {
  modelled_packet q;
  unsigned protocol = 0;
  std::size_t header = 0;
  try {
    if (!out.ipv6) {
      static_cast<void>(quote.first(20));
      if (quote.u8(0) >> 4 != 4 || (quote.u16(6) & 0x1fff) != 0)
        return;
      q.source = address4(quote, 12);
      q.destination = address4(quote, 16);
      protocol = quote.u8(9);
      header = (quote.u8(0) & 15) * 4;
    } else {
      static_cast<void>(quote.first(40));
      if (quote.u8(0) >> 4 != 6)
        return;
      q.source = address6(quote, 8);
      q.destination = address6(quote, 24);
      protocol = quote.u8(6);
      header = 40;
      if (protocol == fragment) {
        if (quote.u16(42) >> 3 != 0)
          return;
        protocol = quote.u8(40);
        header = 48;
      }
    }
    if (q.source != out.destination)
      return;
    auto transport = quote.from(header).first(8);
    if (protocol == tcp || protocol == udp) {
      q.source_port = static_cast<std::uint16_t>(transport.u16(0));
      q.destination_port = static_cast<std::uint16_t>(transport.u16(2));
    } else if (protocol == (out.ipv6 ? icmp6 : icmp4)
               && transport.u8(0) == (out.ipv6 ? 128U : 8U)) {
      q.source_port = q.destination_port = static_cast<std::uint16_t>(transport.u16(4));
    } else {
      return;
    }
  } catch (const ended&) {
    return; // it quotes too little
  }
  out.reporter = out.source;
  out.source = q.source;
  out.destination = q.destination;
  out.source_port = q.source_port;
  out.destination_port = q.destination_port;
  out.protocol = static_cast<std::uint8_t>(protocol);
  out.icmp_error = out.tracked = true;
}

void read_icmp(const piece& rest, const piece& seen, unsigned hop_limit, modelled_packet& out) {
  static_cast<void>(rest.first(8));
  auto type = rest.u8(0);
  if (out.ipv6 && type >= 133 && type <= 137 && hop_limit == 255)
    throw ended{"passed_link"};
  auto error = out.ipv6 ? type < 128 : type == 3 || type == 11 || type == 12;
  auto request = type == (out.ipv6 ? 128U : 8U);
  auto reply = type == (out.ipv6 ? 129U : 0U);
  if (request || reply) {
    out.source_port = out.destination_port = static_cast<std::uint16_t>(rest.u16(4));
    out.tracked = true;
    out.answer = reply;
  }
  if (error && !out.first_fragment)
    read_quote(seen.from(8), out);
}

void read_tcp(const piece& rest, modelled_packet& out) {
  static_cast<void>(rest.first(20));
  auto length = (rest.u8(12) >> 4) * 4;
  if (length < 20 || length > rest.size())
    throw malformed;
  out.answer = (rest.u8(13) & 0x12) == 0x12;
}

void read_udp(const piece& rest, modelled_packet& out) {
  static_cast<void>(rest.first(8));
  auto length = rest.u16(4);
  if (length < 8 || (length > rest.size() && !out.first_fragment))
    throw malformed;
}

void read_transport(const piece& rest,
                    unsigned protocol,
                    unsigned hop_limit,
                    modelled_packet& out) {
  out.protocol = static_cast<std::uint8_t>(protocol);
  if (out.later_fragment)
    return;
  if (protocol == (out.ipv6 ? icmp6 : icmp4))
    return read_icmp(rest, rest, hop_limit, out);
  if (protocol != tcp && protocol != udp)
    throw ended{"unsupported_protocol"};
  protocol == tcp ? read_tcp(rest, out) : read_udp(rest, out);
  out.source_port = static_cast<std::uint16_t>(rest.u16(0));
  out.destination_port = static_cast<std::uint16_t>(rest.u16(2));
  out.tracked = true;
}

void read4(const piece& ip, modelled_packet& out) {
  static_cast<void>(ip.first(20));
  auto header = (ip.u8(0) & 15) * 4;
  auto total = ip.u16(2);
  if (ip.u8(0) >> 4 != 4 || header < 20 || total < header)
    throw malformed;
  auto packet = ip.first(total);
  out.source = address4(ip, 12);
  out.destination = address4(ip, 16);
  auto field = ip.u16(6);
  out.fragment_id = ip.u16(4);
  out.later_fragment = (field & 0x1fff) != 0;
  out.first_fragment = !out.later_fragment && (field & 0x2000) != 0;
  if (ip.u8(9) == tcp && (field & 0x1fff) == 1)
    throw malformed;
  read_transport(packet.from(header), ip.u8(9), ip.u8(8), out);
}

void read6(const piece& ip, modelled_packet& out) {
  static_cast<void>(ip.first(40));
  out.ipv6 = true;
  out.source = address6(ip, 8);
  out.destination = address6(ip, 24);
  if (ip.u8(0) >> 4 != 6 || is_mapped(out.source) || is_mapped(out.destination))
    throw malformed;
  auto [rest, next] = behind_extensions(ip.first(40 + ip.u16(4)).from(40), ip.u8(6), out);
  read_transport(rest, next, ip.u8(7), out);
}

} // namespace

modelled_packet model_packet(bytes frame, bool tags) {
  modelled_packet out;
  try {
    piece rest{frame};
    static_cast<void>(rest.first(14));
    auto type = rest.u16(12);
    rest = rest.from(14);
    for (int i = 0; tags && i < 2 && (type == 0x8100 || type == 0x88a8); ++i) {
      type = rest.u16(2);
      rest = rest.from(4);
    }
    if (type == 0x0800)
      read4(rest, out);
    else if (type == 0x86dd)
      read6(rest, out);
    else
      out.outcome = "passed_link";
  } catch (const ended& e) {
    out.outcome = e.outcome;
  }
  return out;
}

} // namespace marchproxy::testing

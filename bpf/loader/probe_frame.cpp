// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/probe_frame.hpp"

#include <netinet/in.h>

#include <cstdint>
#include <cstring>

namespace marchproxy::tier_ebpf {

namespace {

constexpr std::uint16_t probe_source_port = 40000;
constexpr std::uint8_t syn = 0x02;

struct writer {
  probe_frame out;

  void byte(unsigned value) { out.bytes[out.size++] = static_cast<std::byte>(value); }
  void half(unsigned value) {
    byte(value >> 8 & 0xff);
    byte(value & 0xff);
  }
  void zeros(std::size_t count) { out.size += count; }
  void address(const ip_address& a) {
    auto count = a.width() / 8;
    std::memcpy(out.bytes.data() + out.size, a.bytes.data(), count);
    out.size += count;
  }
};

std::uint8_t ip_protocol(model::protocol protocol, bool ipv6) {
  switch (protocol) {
  case model::protocol::tcp:
    return IPPROTO_TCP;
  case model::protocol::udp:
    return IPPROTO_UDP;
  case model::protocol::icmp:
    if (ipv6)
      return IPPROTO_ICMPV6;
    return IPPROTO_ICMP;
  }
  return 0;
}

void write_network(writer& w,
                   const policy::flow& flow,
                   std::uint8_t protocol,
                   std::uint16_t payload) {
  w.zeros(12); // hardware addresses: the loopback's
  if (flow.source.family == ip_family::v4) {
    w.half(0x0800);
    w.half(0x4500);
    w.half(20U + payload);
    w.zeros(4);
    w.byte(64);
    w.byte(protocol);
    w.zeros(2);
  } else {
    w.half(0x86dd);
    w.byte(0x60);
    w.zeros(3);
    w.half(payload);
    w.byte(protocol);
    w.byte(64);
  }
  w.address(flow.source);
  w.address(*flow.destination);
}

} // namespace

result<probe_frame> first_frame(const policy::flow& flow) {
  if (!flow.destination)
    return fail(errc::invalid_argument, "a routed packet has a destination address");
  if (flow.destination->family != flow.source.family)
    return fail(errc::invalid_argument, "a packet has addresses of one family");
  writer w;
  auto protocol = ip_protocol(flow.protocol, flow.source.family == ip_family::v6);
  switch (flow.protocol) {
  case model::protocol::tcp:
    write_network(w, flow, protocol, 20);
    w.half(probe_source_port);
    w.half(flow.port);
    w.zeros(8);
    w.byte(5 << 4);
    w.byte(syn);
    w.zeros(6);
    break;
  case model::protocol::udp:
    write_network(w, flow, protocol, 8);
    w.half(probe_source_port);
    w.half(flow.port);
    w.half(8);
    w.zeros(2);
    break;
  case model::protocol::icmp:
    write_network(w, flow, protocol, 8);
    w.byte(flow.source.family == ip_family::v6 ? 128 : 8);
    w.zeros(7);
    break;
  }
  return w.out;
}

} // namespace marchproxy::tier_ebpf

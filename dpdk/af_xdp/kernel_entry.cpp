// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/af_xdp/kernel_entry.hpp"

#include <linux/if_ether.h>

#include <cstdint>
#include <fstream>

namespace marchproxy::af_xdp {

namespace {

std::uint16_t half_at(std::span<const std::byte> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(bytes[at]) << 8
                                    | std::to_integer<unsigned>(bytes[at + 1]));
}

} // namespace

result<kernel_entry> kernel_entry::open() {
  auto device = packet_port::tun_device::open(packet_port::tun_device::kind::packets, "mpentry%d");
  if (!device)
    return tl::unexpected(device.error());
  std::ofstream{"/proc/sys/net/ipv4/conf/" + device->name() + "/rp_filter"} << 0;
  return kernel_entry{std::move(*device)};
}

bool kernel_entry::put(std::span<const std::byte> frame) const noexcept {
  constexpr std::size_t tag = 4;
  std::size_t at = ETH_HLEN;
  if (frame.size() < at + tag)
    return false;
  auto protocol = half_at(frame, at - 2);
  if (protocol == ETH_P_8021Q || protocol == ETH_P_8021AD) {
    protocol = half_at(frame, at + tag - 2);
    at += tag;
  }
  if (protocol != ETH_P_IP && protocol != ETH_P_IPV6)
    return false;
  return device_.put(frame.subspan(at));
}

} // namespace marchproxy::af_xdp

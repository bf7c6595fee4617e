// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "dpdk/port/tun_device.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace marchproxy::af_xdp {

/// Where judged packets that the worker cannot forward by itself enter the kernel: a TUN device,
/// without an address. The kernel routes what comes out of it as what came in by any interface:
/// it resolves neighbours, sends ICMP errors, fragments. No program judges the device's packets, so
/// each packet is judged once.
class kernel_entry {
public:
  /// Makes the device in the calling thread's network namespace and brings it up; it is gone with
  /// this object. Reverse-path filtering is switched off for it, since everything comes by it;
  /// where net.ipv4.conf.all.rp_filter is 1 it stays on.
  /// @errors unavailable
  [[nodiscard]] static result<kernel_entry> open();

  /// Hands the IP packet of an Ethernet frame over. @return false when it is none, or the kernel
  /// did not take it
  [[nodiscard]] bool put(std::span<const std::byte> frame) const noexcept;
  [[nodiscard]] const std::string& name() const noexcept { return device_.name(); }

private:
  explicit kernel_entry(packet_port::tun_device device) : device_(std::move(device)) {}

  packet_port::tun_device device_;
};

} // namespace marchproxy::af_xdp

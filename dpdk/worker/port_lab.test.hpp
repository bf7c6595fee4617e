// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/test/routed_lab.hpp"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

namespace marchproxy::packet_worker::testing {

/// routed_lab for routers in user space: its ends write whole packets. On virtual cables checksums
/// are never computed and segments never cut, since the kernel's own router knows that they are
/// not; what takes frames out of the kernel sees them unfinished.
struct port_lab : tier_ebpf::testing::routed_lab {
  port_lab() {
    for (const auto& end : {client, server})
      inside(end, [] {
        for (unsigned what : std::initializer_list<unsigned>{ETHTOOL_STXCSUM, ETHTOOL_STSO,
                                                             ETHTOOL_SGSO, ETHTOOL_SGRO})
          switch_off("eth", what);
      });
  }

private:
  static void switch_off(const char* name, unsigned what) {
    tier_ebpf::descriptor socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ethtool_value value{what, 0};
    ifreq request{};
    std::strncpy(&request.ifr_name[0], name, IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&value);
    EXPECT_EQ(::ioctl(socket.get(), SIOCETHTOOL, &request), 0) << name << " " << what;
  }
};

} // namespace marchproxy::packet_worker::testing

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/serving/settings.hpp"

#include <map>
#include <string>
#include <vector>

namespace marchproxy::egress {

enum class wish : std::uint8_t { automatic, on, off };
enum class xdp_choice : std::uint8_t { automatic, native, generic };

/// A device that DPDK drives, and the interface that stands in for it in the kernel.
struct dpdk_port {
  std::string device;    ///< PCI address, function (`eth1/vf0`), virtual (`net_af_packet0`)
  std::string arguments; ///< of a virtual device: `iface=eth1`
  bool is_virtual = false;
  std::string stand_in;

  bool operator==(const dpdk_port&) const = default;
};

/// What the packet worker is to be; neither af_xdp nor dpdk: there is none.
struct packet_settings {
  std::vector<std::string> af_xdp;              ///< AF_XDP_INTERFACES, when ENABLE_AF_XDP is true
  std::vector<dpdk_port> dpdk;                  ///< DPDK_PORTS, when ENABLE_DPDK is true
  std::uint32_t dpdk_memory_mib = 128;          ///< DPDK_MEMORY_MIB
  std::uint32_t connections = 262'144;          ///< PACKET_CONNECTIONS
  std::uint32_t connections_of_source = 65'536; ///< PACKET_CONNECTIONS_PER_SOURCE
  std::vector<int> cores;                       ///< PACKET_CORE
};

/// What the environment says (docs/configuration.md).
struct settings : serving::node_settings {
  settings() {
    state_directory = "/var/lib/marchproxy/egress";
    admin_port = 8081;
  }

  std::uint16_t listen_port = 8080;        ///< LISTEN_PORT
  std::uint16_t transparent_port = 0;      ///< TRANSPARENT_PORT; 0: no transparent entry
  bool tproxy = false;                     ///< TRANSPARENT_MODE: redirect, tproxy
  std::uint16_t udp_port = 9080;           ///< UDP_PORT; default: LISTEN_PORT + 1000; 0: none
  std::uint32_t udp_idle_seconds = 60;     ///< UDP_IDLE_SECONDS
  std::uint32_t udp_max_sessions = 20'000; ///< UDP_MAX_SESSIONS
  std::uint32_t udp_max_sessions_per_source = 2'000; ///< UDP_MAX_SESSIONS_PER_SOURCE
  bool udp_offload = true;                           ///< UDP_OFFLOAD: auto, off
  relay::ech_policy ech = relay::ech_policy::deny;   ///< ECH: deny, outer, strip
  std::uint16_t dns_listen_port = 0; ///< DNS_LISTEN_PORT; 0: no resolver for clients
  std::uint16_t pac_port = 0;        ///< PAC_PORT; 0: clients are given no file
  std::string pac_proxies;           ///< PAC_PROXY; empty: the host that the client asked
  wish ebpf = wish::automatic;       ///< ENABLE_EBPF: true, false, auto
  std::vector<std::string>
    ebpf_interfaces; ///< EBPF_INTERFACES, comma list; empty: every Ethernet interface that is up
  std::uint32_t connections = 262'144;          ///< EBPF_CONNECTIONS
  std::uint32_t connections_of_source = 65'536; ///< EBPF_CONNECTIONS_PER_SOURCE
  bool forwards = false;                        ///< EBPF_FORWARDING: kernel, direct
  wish xdp = wish::automatic;                   ///< ENABLE_XDP: true, false, auto
  xdp_choice xdp_by = xdp_choice::automatic;    ///< XDP_MODE: auto, native, generic
  packet_settings packets;
};

/// @param variables     the environment
/// @param for_probe     true: a missing CLUSTER_API_KEY is no error (--healthcheck)
/// @errors invalid_argument naming each variable that is wrong
[[nodiscard]] result<settings> read_settings(const std::map<std::string, std::string>& variables,
                                             bool for_probe);

} // namespace marchproxy::egress

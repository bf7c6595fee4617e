// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/packet_settings.hpp"

#include "dpdk/sriov/worker_device.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

namespace marchproxy::egress {

namespace {

constexpr std::uint32_t most_connections = 16'777'216;
constexpr std::uint16_t no_core = 65'535;
constexpr std::size_t longest_interface = 15; // IFNAMSIZ, and the zero behind it

bool read_switch(program::environment& env, const char* name) {
  std::string value = "false";
  env.text(name, value);
  if (value != "true" && value != "false")
    env.wrong(name, "must be true or false");
  return value == "true";
}

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  text.remove_suffix(text.size() - std::min(text.find_last_not_of(' ') + 1, text.size()));
  return text;
}

/// `0000:01:00.0`
bool is_pci_address(std::string_view text) {
  constexpr std::string_view shape = "xxxx:xx:xx.x";
  return text.size() == shape.size()
         && std::equal(text.begin(), text.end(), shape.begin(), [](char c, char wanted) {
              auto hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
              return wanted == 'x' ? hex : c == wanted;
            });
}

/// `0000:01:00.0 mp0`, `eth1/vf0 mp0`, `net_af_packet0,iface=eth1 mp1`
std::optional<dpdk_port> parse_port(std::string_view text) {
  auto space = text.find(' ');
  if (space == std::string_view::npos)
    return std::nullopt;
  auto device = text.substr(0, space);
  auto stand_in = trimmed(text.substr(space));
  dpdk_port out;
  out.stand_in = stand_in;
  if (stand_in.size() > longest_interface || stand_in.find_first_of(" /") != std::string_view::npos)
    return std::nullopt;
  auto comma = device.find(',');
  out.device = device.substr(0, comma);
  out.is_virtual = out.device.starts_with("net_") || out.device.starts_with("eth_");
  if (out.is_virtual && comma != std::string_view::npos)
    out.arguments = device.substr(comma + 1);
  if (!out.is_virtual && !is_pci_address(device) && !sriov::parse_function_name(device))
    return std::nullopt;
  return out;
}

void read_dpdk_ports(program::environment& env, std::vector<dpdk_port>& out) {
  std::string all;
  env.text("DPDK_PORTS", all);
  for (auto rest = std::string_view{all}; !rest.empty();) {
    auto end = rest.find(';');
    auto one = trimmed(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    auto port = parse_port(one);
    if (!port)
      return env.wrong("DPDK_PORTS", "'" + std::string{one}
                                       + "' is no device with the name of its interface, such as "
                                         "0000:01:00.0 mp0, eth1/vf0 mp0 or "
                                         "net_af_packet0,iface=eth1 mp1");
    out.push_back(std::move(*port));
  }
  if (out.empty())
    env.wrong("DPDK_PORTS", "must name a device when ENABLE_DPDK is true");
}

} // namespace

void read_packet_settings(program::environment& env, settings& out) {
  auto& p = out.packets;
  auto af_xdp = read_switch(env, "ENABLE_AF_XDP");
  auto dpdk = read_switch(env, "ENABLE_DPDK");
  if (af_xdp && dpdk)
    env.wrong("ENABLE_DPDK", "ENABLE_AF_XDP is true: a node has one packet worker");
  if (af_xdp) {
    env.list("AF_XDP_INTERFACES", p.af_xdp);
    if (p.af_xdp.empty())
      env.wrong("AF_XDP_INTERFACES", "must name an interface when ENABLE_AF_XDP is true");
    // An interface has one XDP program, and this one brings packets to the worker.
    if (out.xdp == wish::automatic)
      out.xdp = wish::off;
  }
  if (dpdk) {
    read_dpdk_ports(env, p.dpdk);
    // By default the tc program takes every interface, and would judge the stand-ins' packets a
    // second time.
    if (out.ebpf != wish::off && out.ebpf_interfaces.empty())
      env.wrong("EBPF_INTERFACES",
                "must be given when ENABLE_DPDK is true, or ENABLE_EBPF be false");
  }
  env.number<std::uint32_t>("DPDK_MEMORY_MIB", p.dpdk_memory_mib, 65'536);
  if (p.dpdk_memory_mib < 64)
    env.wrong("DPDK_MEMORY_MIB", "must be 64 to 65536");
  env.number<std::uint32_t>("PACKET_CONNECTIONS", p.connections, most_connections);
  if (p.connections < 1'024)
    env.wrong("PACKET_CONNECTIONS", "must be 1024 to " + std::to_string(most_connections));
  env.number<std::uint32_t>("PACKET_CONNECTIONS_PER_SOURCE", p.connections_of_source,
                            most_connections);
  if (p.connections_of_source == 0)
    env.wrong("PACKET_CONNECTIONS_PER_SOURCE", "must be 1 to " + std::to_string(most_connections));
  auto core = no_core;
  env.number<std::uint16_t>("PACKET_CORE", core, 1'023);
  if (core != no_core)
    p.cores = {core};
}

} // namespace marchproxy::egress

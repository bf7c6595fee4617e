// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/settings.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace marchproxy::egress {
namespace {

using variables = std::map<std::string, std::string>;

/// The variables that are wrong, with a blank behind each.
std::string wrong(const variables& all) {
  auto read = read_settings(all, true);
  std::string out;
  if (!read)
    for (const auto& f : read.error().fields)
      out += f.field + " ";
  return out;
}

TEST(packet_settings, there_is_no_packet_worker_unless_it_is_asked_for) {
  auto s = read_settings({{"AF_XDP_INTERFACES", "eth0"}, {"DPDK_PORTS", "nonsense"}}, true);
  ASSERT_TRUE(s);
  EXPECT_TRUE(s->packets.af_xdp.empty());
  EXPECT_TRUE(s->packets.dpdk.empty());
}

TEST(packet_settings, name_interfaces_for_af_xdp) {
  auto s = read_settings({{"ENABLE_AF_XDP", "true"},
                          {"AF_XDP_INTERFACES", "eth0,eth1"},
                          {"PACKET_CONNECTIONS", "2048"},
                          {"PACKET_CORE", "3"}},
                         true);
  ASSERT_TRUE(s) << to_string(s.error());
  EXPECT_EQ(s->packets.af_xdp, (std::vector<std::string>{"eth0", "eth1"}));
  EXPECT_EQ(s->packets.connections, 2048u);
  EXPECT_EQ(s->xdp, wish::off) << "auto would take the interfaces' XDP hook";
  EXPECT_EQ(s->packets.cores, (std::vector{3}));
}

TEST(packet_settings, name_devices_and_their_interfaces_for_dpdk) {
  auto s =
    read_settings({{"ENABLE_DPDK", "true"},
                   {"ENABLE_EBPF", "false"},
                   {"DPDK_PORTS", "0000:01:00.0 mp0; net_af_packet0,iface=eth1,qpairs=1  mp1;"}},
                  true);
  ASSERT_TRUE(s) << to_string(s.error());
  const std::vector<dpdk_port> expected{{"0000:01:00.0", "", false, "mp0"},
                                        {"net_af_packet0", "iface=eth1,qpairs=1", true, "mp1"}};
  EXPECT_EQ(s->packets.dpdk, expected);
}

TEST(packet_settings, name_virtual_functions_by_their_card) {
  auto s = read_settings({{"ENABLE_DPDK", "true"},
                          {"ENABLE_EBPF", "false"},
                          {"DPDK_PORTS", "eth1/vf0 mp0; 0000:01:00.0/vf3 mp1"}},
                         true);
  ASSERT_TRUE(s) << to_string(s.error());
  const std::vector<dpdk_port> expected{{"eth1/vf0", "", false, "mp0"},
                                        {"0000:01:00.0/vf3", "", false, "mp1"}};
  EXPECT_EQ(s->packets.dpdk, expected);
}

TEST(packet_settings, that_are_wrong_are_named) {
  const std::vector<std::pair<variables, std::string>> table{
    {{{"ENABLE_AF_XDP", "auto"}}, "ENABLE_AF_XDP "},
    {{{"ENABLE_AF_XDP", "true"}}, "AF_XDP_INTERFACES "},
    {{{"ENABLE_DPDK", "true"}, {"ENABLE_EBPF", "false"}}, "DPDK_PORTS "},
    {{{"ENABLE_DPDK", "true"}, {"DPDK_PORTS", "0000:01:00.0 mp0"}}, "EBPF_INTERFACES "},
    {{{"ENABLE_DPDK", "true"}, {"ENABLE_EBPF", "false"}, {"DPDK_PORTS", "0000:01:00.0"}},
     "DPDK_PORTS "},
    {{{"ENABLE_DPDK", "true"}, {"ENABLE_EBPF", "false"}, {"DPDK_PORTS", "eth0 mp0"}},
     "DPDK_PORTS "},
    {{{"ENABLE_DPDK", "true"}, {"ENABLE_EBPF", "false"}, {"DPDK_PORTS", "eth0/vfx mp0"}},
     "DPDK_PORTS "},
    {{{"ENABLE_DPDK", "true"},
      {"ENABLE_EBPF", "false"},
      {"DPDK_PORTS", "0000:01:00.0 a_name_that_is_too_long"}},
     "DPDK_PORTS "},
    {{{"ENABLE_AF_XDP", "true"},
      {"AF_XDP_INTERFACES", "eth0"},
      {"ENABLE_DPDK", "true"},
      {"ENABLE_EBPF", "false"},
      {"DPDK_PORTS", "net_ring0 mp0"}},
     "ENABLE_DPDK "},
    {{{"DPDK_MEMORY_MIB", "1"}}, "DPDK_MEMORY_MIB "},
    {{{"PACKET_CONNECTIONS", "0"}}, "PACKET_CONNECTIONS "},
    {{{"PACKET_CONNECTIONS_PER_SOURCE", "0"}}, "PACKET_CONNECTIONS_PER_SOURCE "},
    {{{"PACKET_CORE", "x"}}, "PACKET_CORE "}};
  for (const auto& [all, fields] : table)
    EXPECT_EQ(wrong(all), fields);
}

} // namespace
} // namespace marchproxy::egress

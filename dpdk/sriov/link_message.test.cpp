// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/link_message.hpp"

#include "dpdk/sriov/netlink.hpp"
#include "tests/support/needs_rights.hpp"

#include <gtest/gtest.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include <charconv>
#include <cstdlib>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace marchproxy::sriov {
namespace {

message bytes_of(std::string_view hex) {
  message out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += hex[i] == ' ' ? 1U : 2U) {
    if (hex[i] == ' ')
      continue;
    unsigned value = 0;
    std::from_chars(hex.data() + i, hex.data() + i + 2, value, 16);
    out.push_back(static_cast<std::byte>(value));
  }
  return out;
}

/// Their sequence number, which differs each time, is 0 here.
const std::vector<std::pair<vf_setting, const char*>>& golden() {
  // Recorded by strace from iproute2 6.1.0, `ip link set dev d0 vf 2 ...`, of interface 77.
  static const std::vector<std::pair<vf_setting, const char*>> out{
    {mac_address{2, 0, 0, 0, 0, 5},
     "50000000 1000 0500 00000000 00000000 00000000 4d000000 00000000 00000000"
     "30001600 2c000100 28000100 02000000 02000000 00050000 00000000 00000000"
     "00000000 00000000 00000000 00000000"},
    {vlan_tag{100, 0}, "38000000 1000 0500 00000000 00000000 00000000 4d000000 00000000 00000000"
                       "18001600 14000100 10000200 02000000 64000000 00000000"},
    {vlan_tag{100, 3}, "38000000 1000 0500 00000000 00000000 00000000 4d000000 00000000 00000000"
                       "18001600 14000100 10000200 02000000 64000000 03000000"},
    {vlan_tag{}, "38000000 1000 0500 00000000 00000000 00000000 4d000000 00000000 00000000"
                 "18001600 14000100 10000200 02000000 00000000 00000000"},
    {spoof_check_value{true},
     "34000000 1000 0500 00000000 00000000 00000000 4d000000 00000000 00000000"
     "14001600 10000100 0c000400 02000000 01000000"},
    {spoof_check_value{false},
     "34000000 1000 0500 00000000 00000000 00000000 4d000000 00000000 00000000"
     "14001600 10000100 0c000400 02000000 00000000"},
    {trust_value{true}, "34000000 1000 0500 00000000 00000000 00000000 4d000000 00000000 00000000"
                        "14001600 10000100 0c000900 02000000 01000000"},
    {link_state::automatic,
     "34000000 1000 0500 00000000 00000000 00000000 4d000000 00000000 00000000"
     "14001600 10000100 0c000500 02000000 00000000"},
    {link_state::enable, "34000000 1000 0500 00000000 00000000 00000000 4d000000 00000000 00000000"
                         "14001600 10000100 0c000500 02000000 01000000"},
    {link_state::disable, "34000000 1000 0500 00000000 00000000 00000000 4d000000 00000000 00000000"
                          "14001600 10000100 0c000500 02000000 02000000"}};
  return out;
}

TEST(link_message, is_what_iproute2_sends) {
  for (const auto& [setting, recorded] : golden())
    EXPECT_EQ(set_vf(77, 2, setting), bytes_of(recorded)) << to_string(setting);
}

/// The bytes of an answer have the same lists as those of a request.
TEST(link_message, of_the_kernel_is_read) {
  for (const auto& [setting, recorded] : golden()) {
    const auto read = read_vfs(bytes_of(recorded));
    ASSERT_EQ(read.size(), 1u) << to_string(setting);
    EXPECT_EQ(read.begin()->first, 2u);
  }
  EXPECT_EQ(read_vfs(bytes_of(golden()[0].second)).at(2).mac, (mac_address{2, 0, 0, 0, 0, 5}));
  EXPECT_EQ(read_vfs(bytes_of(golden()[2].second)).at(2).vlan, (vlan_tag{100, 3}));
  EXPECT_EQ(read_vfs(bytes_of(golden()[5].second)).at(2).spoof_check, false);
  EXPECT_EQ(read_vfs(bytes_of(golden()[6].second)).at(2).trust, true);
  EXPECT_EQ(read_vfs(bytes_of(golden()[9].second)).at(2).state, link_state::disable);
}

TEST(link_message, tells_what_a_driver_does_not_tell) {
  auto untold = bytes_of("34000000 1000 0500 00000000 00000000 00000000 4d000000 00000000 00000000"
                         "14001600 10000100 0c000400 02000000 ffffffff");
  EXPECT_FALSE(read_vfs(untold).at(2).spoof_check);
}

TEST(link_message, cut_short_or_lying_is_left_out) {
  const auto whole = bytes_of(golden()[0].second);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_TRUE(read_vfs(std::span{whole}.first(size)).empty()) << size;
  std::mt19937_64 random{1};
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = whole;
    for (int change = 0; change < 3; ++change)
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    for (auto type : {RTM_NEWLINK, RTM_NEWROUTE, RTM_NEWADDR}) {
      bytes[4] = static_cast<std::byte>(type);
      for (const auto& [vf, s] : read_vfs(bytes))
        EXPECT_TRUE(!s.vlan || s.vlan->id < 4096);
      EXPECT_LE(read_default_routes(bytes).size(), bytes.size());
      EXPECT_LE(read_addresses(bytes).size(), bytes.size());
      EXPECT_LE(read_name(bytes).size(), bytes.size());
    }
  }
}

/// Runs @p work in a network namespace of its own, and says whether it could.
bool in_own_namespace(const std::function<void()>& work) {
  bool made = false;
  std::thread{[&] {
    made = ::unshare(CLONE_NEWNET) == 0;
    if (made)
      work();
  }}.join();
  return made;
}

/// The kernel's own answers, in a namespace with interfaces that have no virtual functions.
TEST(link_message, is_understood_by_the_kernel) {
  const auto work = [] {
    ASSERT_EQ(std::system("ip link add v0 type veth peer name v1 && ip link set v0 up && "
                          "ip link set v1 up && ip address add 192.0.2.1/24 dev v0 && "
                          "ip route add default nexthop via 192.0.2.2 dev v0 nexthop via 192.0.2.3 "
                          "dev v0 && ip route add 0.0.0.0/1 dev v1 table 77"),
              0);
    auto kernel = kernel_netlink::open();
    ASSERT_TRUE(kernel);
    const auto v0 = static_cast<int>(::if_nametoindex("v0"));
    const auto v1 = static_cast<int>(::if_nametoindex("v1"));
    for (const auto& [setting, bytes] : golden()) {
      const auto done = (*kernel)->ask(set_vf(v0, 0, setting));
      ASSERT_FALSE(done) << "veth has virtual functions now?";
      EXPECT_EQ(done.error().message, "Operation not supported") << to_string(setting);
    }
    const auto link = (*kernel)->ask(get_vfs(v0));
    ASSERT_TRUE(link) << to_string(link.error());
    EXPECT_EQ(read_name(*link), "v0");
    EXPECT_TRUE(read_vfs(*link).empty());
    EXPECT_EQ((*kernel)->ask(get_vfs(9999)).error().message, "No such device");
    const auto routes = (*kernel)->ask(get_routes(AF_INET));
    ASSERT_TRUE(routes);
    EXPECT_EQ(read_default_routes(*routes), (std::set{v0, v1}));
    const auto addresses = (*kernel)->ask(get_addresses());
    ASSERT_TRUE(addresses);
    const auto own = read_addresses(*addresses);
    const auto found = own.find(*parse_ip("192.0.2.1"));
    ASSERT_NE(found, own.end());
    EXPECT_EQ(found->second, v0);
  };
  if (in_own_namespace(work))
    return;
  MP_NEEDS_RIGHTS("needs the right to make a network namespace");
}

} // namespace
} // namespace marchproxy::sriov

// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/forwarding/netlink.hpp"

#include "bpf/test/netns_lab.hpp"
#include "bpf/test/privileges.hpp"
#include "dpdk/forwarding/message.hpp"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <poll.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <random>

namespace marchproxy::forwarding {
namespace {

using tier_ebpf::testing::netns_lab;

const route* route_to(const kernel_view& v, const char* prefix) {
  auto found = std::find_if(v.routes.begin(), v.routes.end(),
                            [&](const route& r) { return r.to == *parse_prefix(prefix); });
  return found == v.routes.end() ? nullptr : &*found;
}

bool hears(change_watch& watch) {
  pollfd p{watch.fd(), POLLIN, 0};
  return ::poll(&p, 1, 10'000) == 1 && watch.drain();
}

TEST(netlink, reads_what_the_kernel_forwards_by) {
  if (!tier_ebpf::testing::privileged())
    return;
  netns_lab lab;
  auto in_router = "-n " + lab.router + " ";
  lab.ip(in_router + "route add 198.51.100.0/24 via 10.9.2.2 metric 30");
  lab.ip(in_router + "route add blackhole 203.0.113.0/24");
  lab.ip(in_router + "-6 route add 2001:db8:77::/48 via 2001:db8:92::2");
  lab.ip(in_router + "neigh add 10.9.2.2 lladdr 02:00:00:00:00:05 dev rs nud stale");
  lab.ip(in_router + "neigh add 10.9.2.3 dev rs nud incomplete");
  netns_lab::inside(lab.router, [&] {
    auto v = read_kernel();
    ASSERT_TRUE(v) << marchproxy::to_string(v.error());
    EXPECT_TRUE(v->routes4);
    EXPECT_TRUE(v->routes6);
    EXPECT_FALSE(v->policy_routing);
    ASSERT_EQ(v->links.size(), 2u) << "lo is none";
    EXPECT_EQ(v->links[0].mtu, 1500u);
    auto rs = static_cast<int>(::if_nametoindex("rs"));
    const auto* r = route_to(*v, "198.51.100.0/24");
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->ifindex, rs);
    EXPECT_EQ(r->gateway, parse_ip("10.9.2.2"));
    EXPECT_EQ(r->metric, 30u);
    ASSERT_NE(route_to(*v, "203.0.113.0/24"), nullptr);
    EXPECT_FALSE(route_to(*v, "203.0.113.0/24")->ifindex);
    ASSERT_NE(route_to(*v, "2001:db8:77::/48"), nullptr);
    EXPECT_EQ(route_to(*v, "2001:db8:77::/48")->gateway, parse_ip("2001:db8:92::2"));
    EXPECT_FALSE(route_to(*v, "10.9.2.0/24")->gateway);
    for (const auto* own : {"10.9.1.1", "10.9.2.1", "10.9.2.255", "2001:db8:91::1"})
      EXPECT_NE(std::find(v->own.begin(), v->own.end(), *parse_ip(own)), v->own.end()) << own;
    auto n = std::find_if(v->neighbours.begin(), v->neighbours.end(),
                          [](const neighbour& e) { return e.address == *parse_ip("10.9.2.2"); });
    ASSERT_NE(n, v->neighbours.end());
    EXPECT_EQ(n->ifindex, rs);
    EXPECT_EQ(n->hardware, (mac_address{2, 0, 0, 0, 0, 5}));
    EXPECT_TRUE(n->stale);
    EXPECT_EQ(std::count_if(v->neighbours.begin(), v->neighbours.end(),
                            [](const neighbour& e) { return e.address == *parse_ip("10.9.2.3"); }),
              0);
  });
}

TEST(netlink, tells_of_changes_and_of_policy_routing) {
  if (!tier_ebpf::testing::privileged())
    return;
  netns_lab lab;
  netns_lab::inside(lab.router, [&] {
    auto watch = change_watch::open();
    ASSERT_TRUE(watch) << marchproxy::to_string(watch.error());
    static_cast<void>(watch->drain());
    lab.ip("-n " + lab.router + " route add 198.51.100.0/24 via 10.9.2.2");
    EXPECT_TRUE(hears(*watch));
    lab.ip("-n " + lab.router + " neigh add 10.9.2.9 lladdr 02:00:00:00:00:05 dev rs");
    EXPECT_TRUE(hears(*watch));
    lab.ip("-n " + lab.router + " rule add from 10.0.0.0/8 table 77");
    EXPECT_TRUE(hears(*watch));
    auto v = read_kernel();
    ASSERT_TRUE(v);
    EXPECT_TRUE(v->policy_routing);
  });
}

TEST(netlink, has_stale_neighbours_confirmed) {
  if (!tier_ebpf::testing::privileged())
    return;
  netns_lab lab;
  std::string server_mac;
  netns_lab::inside(lab.server, [&] {
    auto v = read_kernel();
    ASSERT_TRUE(v);
    const auto& mac = v->links.at(0).address;
    server_mac = fmt::format("{:02x}", fmt::join(mac, ":"));
  });
  lab.ip("-n " + lab.router + " neigh add 10.9.2.2 lladdr " + server_mac + " dev rs nud stale");
  netns_lab::inside(lab.router, [&] {
    std::ofstream{"/proc/sys/net/ipv4/neigh/rs/delay_first_probe_time"} << 0;
    auto watch = change_watch::open();
    auto before = read_kernel();
    ASSERT_TRUE(watch && before);
    const std::array of{static_cast<int>(::if_nametoindex("rs"))};
    ASSERT_TRUE(confirm_stale(*before, of));
    const auto confirmed = "ip -n " + lab.router + " neigh show 10.9.2.2 | grep -q REACHABLE";
    while (std::system(confirmed.c_str()) != 0)
      ASSERT_TRUE(hears(*watch)) << "the server was not asked, or its answer not heard";
  });
}

TEST(netlink, messages_cut_short_or_lying_are_left_out) {
  std::mt19937_64 random{1};
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::byte> bytes(random() % 200);
    for (auto& b : bytes)
      b = static_cast<std::byte>(random() % 4 == 0 ? random() : random() % 40);
    if (bytes.size() > 5)
      bytes[4] = static_cast<std::byte>(16 + random() % 20), bytes[5] = std::byte{0};
    kernel_view v;
    add_message(v, bytes);
    for (const auto& r : v.routes)
      EXPECT_LE(r.to.length, r.to.base.width());
  }
}

} // namespace
} // namespace marchproxy::forwarding

// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/forwarding/table.hpp"

#include "bpf/loader/traffic.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>

namespace marchproxy::forwarding {
namespace {

constexpr std::array<int, 2> ports{7, 9};

mac_address mac(std::uint8_t last) {
  return {2, 0, 0, 0, 0, last};
}

kernel_view two_links() {
  kernel_view v;
  v.routes4 = v.routes6 = true;
  v.links = {{7, "a", mac(0x70), 1500}, {9, "b", mac(0x90), 9000}};
  return v;
}

void add_route(kernel_view& v,
               const char* to,
               std::optional<int> ifindex,
               const char* gateway = nullptr,
               std::uint32_t metric = 0) {
  v.routes.push_back(
    {*parse_prefix(to), metric, ifindex, gateway != nullptr ? parse_ip(gateway) : std::nullopt});
}

/// `2 by 0` = the last byte of the hardware address that is sent to, and the port; or what is
/// missing.
std::string way(const table& t, const char* to) {
  auto index = t.find(tier_ebpf::to_abi(*parse_ip(to)));
  if (index >= table::first_missing)
    return table::why(index) == missing::route ? "no route" : "no neighbour";
  const auto& h = t.at(index);
  return std::to_string(h.destination[5]) + " by " + std::to_string(h.port);
}

TEST(forwarding_table, longest_prefix_wins_and_least_metric_among_equals) {
  auto v = two_links();
  v.neighbours = {{7, *parse_ip("10.1.0.2"), mac(2), false},
                  {9, *parse_ip("10.2.0.3"), mac(3), false},
                  {9, *parse_ip("10.2.0.4"), mac(4), true},
                  {9, *parse_ip("fe80::4"), mac(6), false}};
  add_route(v, "10.1.0.0/24", 7);
  add_route(v, "10.2.0.0/24", 9);
  add_route(v, "0.0.0.0/0", 7, "10.1.0.2");
  add_route(v, "198.51.100.0/24", 7, "10.1.0.2", 50);
  add_route(v, "198.51.100.0/24", 9, "10.2.0.3", 20);
  add_route(v, "198.51.100.128/32", 9, "10.2.0.4");
  add_route(v, "198.51.100.255", std::nullopt);
  add_route(v, "203.0.113.0/24", 9, "10.2.0.99");
  add_route(v, "192.0.2.0/24", 11);
  add_route(v, "::/0", 9, "fe80::4");
  add_route(v, "2001:db8::/32", 9);
  auto t = table::make(v, ports, 3);
  EXPECT_EQ(t->generation(), 3u);
  const std::map<const char*, const char*> expected{
    {"10.1.0.2", "2 by 0"},
    {"10.1.0.3", "no neighbour"},
    {"10.2.0.3", "3 by 1"},
    {"10.1.1.0", "2 by 0"},
    {"8.8.8.8", "2 by 0"},
    {"198.51.99.255", "2 by 0"},
    {"198.51.100.0", "3 by 1"},
    {"198.51.100.127", "3 by 1"},
    {"198.51.100.128", "4 by 1"},
    {"198.51.100.129", "3 by 1"},
    {"198.51.100.255", "no route"},
    {"198.51.101.0", "2 by 0"},
    {"203.0.113.1", "no neighbour"},
    {"192.0.2.1", "no route"},
    {"255.255.255.255", "2 by 0"},
    {"0.0.0.0", "2 by 0"},
    {"::1", "6 by 1"},
    {"2001:db7:ffff::", "6 by 1"},
    {"2001:db8::1", "no neighbour"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6 by 1"},
  };
  for (const auto& [to, how] : expected)
    EXPECT_EQ(way(*t, to), how) << to;
  const auto& h = t->at(t->find(tier_ebpf::to_abi(*parse_ip("198.51.100.1"))));
  EXPECT_EQ(h.source, mac(0x90));
  EXPECT_EQ(h.mtu, 9000);
}

TEST(forwarding_table, leaves_to_the_kernel_what_the_main_table_does_not_decide) {
  auto v = two_links();
  v.neighbours = {{7, *parse_ip("10.1.0.2"), mac(2), false},
                  {7, *parse_ip("2001:db8::2"), mac(5), false}};
  add_route(v, "10.1.0.0/24", 7);
  add_route(v, "2001:db8::/64", 7);
  EXPECT_EQ(way(*table::make(v, ports, 1), "10.1.0.2"), "2 by 0");
  EXPECT_EQ(way(*table::make(v, ports, 1), "2001:db8::2"), "5 by 0");
  v.routes6 = false;
  EXPECT_EQ(way(*table::make(v, ports, 1), "10.1.0.2"), "2 by 0");
  EXPECT_EQ(way(*table::make(v, ports, 1), "2001:db8::2"), "no route");
  v.policy_routing = true;
  EXPECT_EQ(way(*table::make(v, ports, 1), "10.1.0.2"), "no route");
  EXPECT_EQ(way(*table::make({}, ports, 1), "10.1.0.2"), "no route");
}

TEST(forwarding_table, knows_its_own_addresses) {
  kernel_view v;
  for (unsigned i = 0; i < 300; ++i)
    v.own.push_back(ip_address::v4(0x0a000000U + 7 * i));
  v.own.push_back(*parse_ip("2001:db8::1"));
  v.own.push_back(*parse_ip("2001:db8::1"));
  auto t = table::make(v, ports, 1);
  for (unsigned i = 0; i < 2100; ++i)
    EXPECT_EQ(t->is_own(tier_ebpf::to_abi(ip_address::v4(0x0a000000U + i))), i % 7 == 0) << i;
  EXPECT_TRUE(t->is_own(tier_ebpf::to_abi(*parse_ip("2001:db8::1"))));
  EXPECT_FALSE(t->is_own(tier_ebpf::to_abi(*parse_ip("2001:db8::2"))));
  EXPECT_FALSE(table::make({}, ports, 1)->is_own(tier_ebpf::to_abi(*parse_ip("10.0.0.1"))));
}

TEST(forwarding_table, agrees_with_a_walk_over_all_routes) {
  std::mt19937_64 random{20261130};
  auto v = two_links();
  std::map<ip_prefix, std::pair<std::uint32_t, std::uint8_t>> best; // metric, gateway
  for (std::uint8_t i = 0; i < 200; ++i)
    v.neighbours.push_back({7, ip_address::v4(0xc0000200U + i), mac(i), false});
  for (int i = 0; i < 2000; ++i) {
    auto prefix = make_prefix(ip_address::v4(static_cast<std::uint32_t>(random()) & 0x0fff0fffU),
                              static_cast<std::uint8_t>(random() % 33));
    auto gateway = static_cast<std::uint8_t>(random() % 200);
    auto metric = static_cast<std::uint32_t>(i) * 7919U % 2003U; // no two alike
    v.routes.push_back({prefix, metric, 7, ip_address::v4(0xc0000200U + gateway)});
    auto [at, fresh] = best.try_emplace(prefix, metric, gateway);
    if (!fresh && metric < at->second.first)
      at->second = {metric, gateway};
  }
  auto t = table::make(v, ports, 1);
  for (int i = 0; i < 20000; ++i) {
    auto address = ip_address::v4(static_cast<std::uint32_t>(random()) & 0x0fff0fffU);
    std::string expected = "no route";
    for (unsigned length = 0; length <= 32; ++length)
      if (auto at = best.find(make_prefix(address, static_cast<std::uint8_t>(length)));
          at != best.end())
        expected = std::to_string(at->second.second) + " by 0";
    ASSERT_EQ(way(*t, to_string(address).c_str()), expected) << to_string(address);
  }
}

} // namespace
} // namespace marchproxy::forwarding

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/ip.hpp"

#include <gtest/gtest.h>

namespace marchproxy {
namespace {

TEST(ip, text_round_trips) {
  for (auto text :
       {"0.0.0.0", "10.1.2.3", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1:2"}) {
    auto address = parse_ip(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(to_string(*address), text);
  }
}

TEST(ip, odd_spellings_are_refused) {
  for (auto text : {"", "1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1.2.3.-4", "1.2.3.4 ",
                    "0x7f.1.1.1", ":::", "1::2::3", "fe80::1%eth0", "[::1]", "12345::", "127.1"})
    EXPECT_FALSE(parse_ip(text)) << text;
}

TEST(ip, mapped_ipv6_is_the_ipv4_address_it_means) {
  EXPECT_EQ(parse_ip("::ffff:10.0.0.1"), parse_ip("10.0.0.1"));
}

TEST(ip, prefix_with_host_bits_is_refused) {
  EXPECT_FALSE(parse_prefix("10.0.0.1/8"));
  EXPECT_FALSE(parse_prefix("10.0.0.0/33"));
  EXPECT_FALSE(parse_prefix("10.0.0.0/08"));
  EXPECT_FALSE(parse_prefix("10.0.0.0/"));
  EXPECT_TRUE(parse_prefix("10.0.0.0/8"));
  EXPECT_EQ(to_string(*parse_prefix("2001:db8::/32")), "2001:db8::/32");
  EXPECT_EQ(to_string(*parse_prefix("10.0.0.1/32")), "10.0.0.1");
}

TEST(ip, prefix_contains_by_leading_bits) {
  auto p = *parse_prefix("10.64.0.0/10");
  EXPECT_TRUE(p.contains(*parse_ip("10.127.255.255")));
  EXPECT_FALSE(p.contains(*parse_ip("10.128.0.0")));
  EXPECT_FALSE(p.contains(*parse_ip("::1")));
  EXPECT_TRUE(p.contains(*parse_prefix("10.64.1.0/24")));
  EXPECT_FALSE(p.contains(*parse_prefix("10.0.0.0/8")));
}

TEST(ip, special_ranges_are_named_and_public_addresses_are_not) {
  for (auto text :
       {"10.0.0.1", "127.0.0.1", "169.254.169.254", "100.64.0.1", "172.31.0.1", "192.168.1.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1",
        "64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:10.0.0.1", "::7f00:1"})
    EXPECT_TRUE(special_range(*parse_ip(text))) << text;
  for (auto text : {"8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "100.128.0.1"})
    EXPECT_FALSE(special_range(*parse_ip(text))) << text;
}

} // namespace
} // namespace marchproxy

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/host.hpp"

#include <gtest/gtest.h>

namespace marchproxy::wire {
namespace {

TEST(host, names_are_lowered_and_lose_the_final_dot) {
  for (auto [in, out] : {std::pair{"Example.ORG", "example.org"},
                         {"a-b_c.example.", "a-b_c.example"},
                         {"localhost", "localhost"},
                         {"xn--bcher-kva.example", "xn--bcher-kva.example"},
                         {"1.example", "1.example"},
                         {"127.0.0.1.example", "127.0.0.1.example"}}) {
    auto parsed = host::parse(in);
    ASSERT_TRUE(parsed) << in;
    EXPECT_EQ(parsed->name(), out);
    EXPECT_FALSE(parsed->address());
  }
}

TEST(host, addresses_are_addresses) {
  EXPECT_EQ(host::parse("10.0.0.1")->address(), parse_ip("10.0.0.1"));
  EXPECT_EQ(host::parse("[2001:DB8::1]")->address(), parse_ip("2001:db8::1"));
  EXPECT_EQ(host::parse("[::ffff:10.0.0.1]")->address(), parse_ip("10.0.0.1"));
  EXPECT_EQ(host::parse("[2001:db8::1]")->text(), "[2001:db8::1]");
  EXPECT_EQ(host::parse("10.0.0.1")->text(), "10.0.0.1");
}

TEST(host, odd_spellings_of_addresses_are_no_names) {
  for (auto text :
       {"0x7f.1", "0x7f000001", "2130706433", "127.1", "017700000001", "0177.0.0.1", "127.0.0.1.",
        "127.0.0.01", "0x7F.0.0.0x1", "a.0x", "1.2.3.4.5", "256.256.256.256", "0", "00", "0x"})
    EXPECT_FALSE(host::parse(text)) << text;
}

TEST(host, what_is_no_host_is_refused) {
  for (auto text : {"",
                    ".",
                    "..",
                    "a..b",
                    ".a",
                    "-a.b",
                    "a-.b",
                    "a b",
                    "a/b",
                    "a@b",
                    "a%2eb",
                    "[::1",
                    "::1",
                    "[]",
                    "[1.2.3.4]",
                    "[fe80::1%eth0]",
                    "a\tb",
                    "b\xc3\xbc.example",
                    "*.example.org",
                    "a,b"})
    EXPECT_FALSE(host::parse(text)) << text;
  EXPECT_FALSE(host::parse(std::string(64, 'a') + ".org"));
  EXPECT_TRUE(host::parse(std::string(63, 'a') + ".org"));
  std::string longest;
  for (int i = 0; i < 126; ++i)
    longest += "a.";
  EXPECT_TRUE(host::parse(longest + "a"));
  EXPECT_FALSE(host::parse(longest + "aa"));
  EXPECT_FALSE(host::parse(std::string_view{"a\0b", 3}));
}

TEST(host_port, port_is_one_to_65535) {
  EXPECT_EQ(parse_host_port("a.b:443")->port, 443);
  EXPECT_EQ(parse_host_port("a.b")->port, 0);
  EXPECT_EQ(parse_host_port("[::1]:65535")->port, 65535);
  EXPECT_EQ(parse_host_port("[::1]:65535")->text(), "[::1]:65535");
  EXPECT_EQ(parse_host_port("[::1]")->port, 0);
  for (auto text : {"a:0", "a:65536", "a:", ":80", "a:+1", "a:-1", "a:1 ", "a:80:80", "[::1]80",
                    "::1:80", "a:000080", "user@a:80", "a:0x50"})
    EXPECT_FALSE(parse_host_port(text)) << text;
}

} // namespace
} // namespace marchproxy::wire

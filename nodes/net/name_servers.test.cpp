// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/name_servers.hpp"

#include <gtest/gtest.h>

namespace marchproxy::net {
namespace {

std::vector<std::string> texts(const std::string& servers) {
  std::vector<std::string> out;
  auto read = name_servers(servers);
  EXPECT_TRUE(read);
  for (const auto& each : read.value_or(std::vector<endpoint>{}))
    out.push_back(to_string(each));
  return out;
}

TEST(name_servers, come_in_their_order_with_their_ports) {
  EXPECT_EQ(texts("192.0.2.1:5353,[2001:db8::1]:54,192.0.2.2"),
            (std::vector<std::string>{"192.0.2.1:5353", "[2001:db8::1]:54", "192.0.2.2:53"}));
  EXPECT_FALSE(texts("").empty()) << "c-ares asks this machine where nothing else is said";
}

TEST(name_servers, what_does_not_parse_is_named) {
  auto wrong = name_servers("not an address");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().fields.at(0).field, "servers");
}

} // namespace
} // namespace marchproxy::net

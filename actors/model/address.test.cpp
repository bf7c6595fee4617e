// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/model.hpp"

#include <gtest/gtest.h>

namespace marchproxy::model {
namespace {

struct address_case {
  std::string given;
  std::string canonical; ///< empty when it must be refused
};

const address_case addresses[] = {
  {"10.0.0.1", "10.0.0.1"},
  {"10.0.0.1/32", "10.0.0.1"},
  {"10.0.0.0/8", "10.0.0.0/8"},
  {"0.0.0.0/0", "0.0.0.0/0"},
  {"::/0", "::/0"},
  {"2001:DB8::1", "2001:db8::1"},
  {"2001:db8:0:0:0:0:0:1", "2001:db8::1"},
  {"2001:db8::/32", "2001:db8::/32"},
  {"::1/128", "::1"},
  {"::ffff:10.0.0.1", "10.0.0.1"},
  {"example.org", "example.org"},
  {"Example.ORG", "example.org"},
  {"example.org.", "example.org"},
  {"localhost", "localhost"},
  {"db_1.internal", "db_1.internal"},
  {"*.example.org", "*.example.org"},
  {"*.Example.Org.", "*.example.org"},
  {"*.a.b.c.example", "*.a.b.c.example"},
  {"xn--bcher-kva.example", "xn--bcher-kva.example"},
  {"1password.com", "1password.com"},
  {"3com", "3com"},
  {"a." + std::string(63, 'b'), "a." + std::string(63, 'b')},
  {"", ""},
  {" ", ""},
  {" 10.0.0.1", ""},
  {"10.0.0.1 ", ""},
  {"10.0.0.1/8", ""},
  {"10.0.0.0/33", ""},
  {"10.0.0.0/", ""},
  {"10.0.0.0/-1", ""},
  {"10.0.0.0/8/8", ""},
  {"10.0.0.256", ""},
  {"10.0.0", ""},
  {"010.0.0.1", ""},
  {"2130706433", ""},
  {"0x7f000001", ""},
  {"127.0x1", ""},
  {"1.2.3.4.5", ""},
  {"[::1]", ""},
  {"::1%eth0", ""},
  {"10.0.0.1:80", ""},
  {"2001:db8::1/32", ""},
  {"2001:db8::/129", ""},
  {":::", ""},
  {".", ""},
  {".example.org", ""},
  {"example..org", ""},
  {"example.org..", ""},
  {"-a.example", ""},
  {"a-.example", ""},
  {"*", ""},
  {"*.", ""},
  {"a.*.example", ""},
  {"*a.example", ""},
  {"*.*.example", ""},
  {"exa mple.org", ""},
  {"example.org/path", ""},
  {"https://example.org", ""},
  {"user@example.org", ""},
  {"b\xc3\xbc"
   "cher.example",
   ""},
  {std::string{"a\0b", 3}, ""},
  {"a\nb", ""},
  {std::string(64, 'a') + ".example", ""},
  {"*.10.0.0.1", ""},
};

TEST(address, reads_addresses_networks_and_names_into_one_form) {
  for (const auto& [given, canonical] : addresses) {
    SCOPED_TRACE(given);
    const auto got = parse_address(given, "ip_fqdn");
    if (canonical.empty()) {
      ASSERT_FALSE(got) << to_string(*got);
      EXPECT_EQ(got.error().code, errc::invalid_argument);
      EXPECT_EQ(got.error().fields.at(0).field, "ip_fqdn");
      continue;
    }
    ASSERT_TRUE(got) << to_string(got.error());
    EXPECT_EQ(to_string(*got), canonical);
    EXPECT_EQ(parse_address(canonical, "address").value(), *got);
  }
}

TEST(address, a_name_is_at_most_253_bytes_long) {
  std::string name(61, 'a');
  while (name.size() < 250)
    name = std::string(61, 'b') + "." + name;
  name.erase(0, name.size() > 253 ? name.size() - 253 : 0);
  ASSERT_LE(name.size(), 253U);
  name = std::string(253 - name.size(), 'c') + name;
  EXPECT_TRUE(parse_address(name, "address"));
  EXPECT_FALSE(parse_address("d" + name, "address"));
}

TEST(address, says_what_network_was_meant) {
  const auto got = parse_address("10.1.2.3/8", "address");
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().message.find("`10.0.0.0/8`"), std::string::npos) << got.error().message;
}

} // namespace
} // namespace marchproxy::model

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/dns/told_addresses.hpp"

#include "nodes/wire/dns_build.test.hpp"

#include <gtest/gtest.h>

namespace marchproxy::dns {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace wire::testing;
using wire::dns_type;

std::vector<ip_address> addresses(std::initializer_list<const char*> texts) {
  std::vector<ip_address> out;
  for (const auto* text : texts)
    out.push_back(*parse_ip(text));
  return out;
}

const auto one = dns_record_of(dns_the_question, dns_type::a, "\1\2\3\4"s, 60);

TEST(told_addresses, are_those_that_the_name_leads_to_by_aliases_too) {
  const auto told = read_told(dns_answer(
    "Www.test", dns_type::a,
    {.answers = {dns_record_of(dns_the_question, dns_type::cname, dns_labels("cdn.org"), 20),
                 dns_record_of(dns_labels("cdn.org"), dns_type::a, "\1\2\3\4"s, 60),
                 dns_record_of(dns_labels("cdn.org"), dns_type::a, "\1\2\3\5"s, 60)},
     .additional = {dns_record_of(dns_labels("else.org"), dns_type::a, "\1\2\3\6"s, 5)}}));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->name, "www.test");
  EXPECT_EQ(told->addresses, addresses({"1.2.3.4", "1.2.3.5"}));
  EXPECT_EQ(told->ttl, 20s);
  const auto v6 = read_told(dns_answer(
    "a.test", dns_type::aaaa,
    {.answers = {dns_record_of(dns_the_question, dns_type::aaaa, std::string(15, '\0') + '\7')}}));
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->addresses, addresses({"::7"}));
}

TEST(told_addresses, other_answers_tell_none) {
  EXPECT_FALSE(read_told(dns_answer("a.test", dns_type::a, {})));
  EXPECT_FALSE(read_told(dns_answer("a.test", dns_type::https, {.answers = {one}})));
  EXPECT_FALSE(read_told(dns_answer("a.test", dns_type::a, {.answers = {one}}, 0x8183)))
    << "NXDOMAIN";
  EXPECT_FALSE(read_told(dns_answer("127.1", dns_type::a, {.answers = {one}}))) << "no host";
  EXPECT_FALSE(
    read_told(dns_answer("a.test", dns_type::a,
                         {.answers = {dns_record_of(dns_the_question, dns_type::a, "\1\2\3"s)}})));
}

TEST(told_addresses, both_families_and_earlier_answers_add_up_while_they_last) {
  net::lease_store store{net::lease_terms{}};
  const auto now = net::clock::now();
  remember(store, {"a.test", addresses({"1.2.3.4"}), 60s}, now);
  remember(store, {"a.test", addresses({"2001:db8::1"}), 10s}, now + 5s);
  remember(store, {"a.test", addresses({"1.2.3.5", "1.2.3.4"}), 60s}, now + 10s);
  EXPECT_EQ(store.find("a.test", now + 10s)->addresses,
            addresses({"1.2.3.5", "1.2.3.4", "2001:db8::1"}));
  EXPECT_TRUE(store.find("a.test", now + 180s)) << "clients hold on to it for a while longer";
  EXPECT_FALSE(store.find("a.test", now + 200s));
  remember(store, {"a.test", addresses({"1.2.3.6"}), 60s}, now + 300s);
  EXPECT_EQ(store.find("a.test", now + 300s)->addresses, addresses({"1.2.3.6"}));
}

TEST(told_addresses, a_name_has_a_bounded_number) {
  net::lease_store store{net::lease_terms{}};
  const auto now = net::clock::now();
  for (std::uint32_t i = 0; i < 100; ++i)
    remember(store, {"a.test", {ip_address::v4(i)}, 60s}, now);
  const auto all = store.find("a.test", now)->addresses;
  EXPECT_EQ(all.size(), net::lease::most_addresses);
  EXPECT_EQ(all.front(), ip_address::v4(99)) << "the last ones told";
}

} // namespace
} // namespace marchproxy::dns

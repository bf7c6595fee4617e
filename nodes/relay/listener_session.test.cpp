// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/transparent_fixture.test.hpp"
#include "nodes/wire/openssl_hello.test.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;
using wire::testing::openssl_hello;

const auto denied_alert = "\x15\x03\x03\0\x02\x02\x31"s;
const auto decode_alert = "\x15\x03\x03\0\x02\x02\x32"s;

std::string hello(const std::string& name) {
  return openssl_hello({name, {}, 0});
}

TEST_F(transparent, goes_by_the_name_in_the_hello_when_no_mapping_allows_the_address) {
  allow_name("origin.test");
  run(set.snapshot());
  auto p = diverted("127.0.0.1", behind.port);
  EXPECT_TRUE(echoes(p, hello("Origin.test")));
  p.close();
  auto r = ended();
  EXPECT_EQ(r.asked, at(behind.port));
  EXPECT_EQ(r.name, "origin.test");
  EXPECT_EQ(r.sni, "origin.test");
  EXPECT_EQ(r.address, parse_ip("127.0.0.1"));
  EXPECT_EQ(r.mapping, mapping_id{1});
  EXPECT_EQ(r.why, reason::mapping_allow);
}

TEST_F(transparent, a_name_on_an_address_that_it_does_not_have_leads_to_one_that_it_has) {
  origin impostor{echo};
  allow_name("origin.test");
  run(set.snapshot());
  auto p = diverted("127.0.0.9", behind.port); // nobody there
  EXPECT_TRUE(echoes(p, hello("origin.test")));
  p.close();
  auto r = ended();
  EXPECT_EQ(r.asked, at(behind.port, "127.0.0.9"));
  EXPECT_EQ(r.address, parse_ip("127.0.0.1"));
}

TEST_F(transparent, of_the_addresses_of_a_name_the_one_meant_is_tried_first) {
  allow_name("many.test");
  run(set.snapshot());
  // Both listen on the port, so that the first tried is the one that is used.
  auto other = net::listen_tcp({*parse_ip("127.0.0.2"), behind.port});
  ASSERT_TRUE(other);
  auto p = diverted("127.0.0.1", behind.port);
  EXPECT_TRUE(echoes(p, hello("many.test")));
  p.close();
  EXPECT_EQ(ended().address, parse_ip("127.0.0.1"));
  auto q = diverted("127.0.0.2", behind.port);
  q.send(hello("many.test"));
  EXPECT_TRUE(
    eventually([&] { return net::accept_tcp(other->get()).state == net::accept_state::accepted; }));
}

TEST_F(transparent, who_comes_too_often_is_reset) {
  model::limits once;
  once.connections = model::rate_limit{1, 86'400, 1};
  set.mapping(client_, set.service("origin", "127.0.0.1/32")).limits = once;
  run(set.snapshot());
  auto p = diverted("127.0.0.1", behind.port);
  EXPECT_TRUE(echoes(p, "one"));
  auto q = diverted("127.0.0.1", behind.port);
  char c = 0;
  EXPECT_LT(recv(q.fd(), &c, 1, 0), 0);
  EXPECT_EQ(errno, ECONNRESET);
  auto r = ended();
  EXPECT_EQ(r.via, entry::transparent);
  EXPECT_EQ(r.why, reason::rate_limited);
}

TEST_F(transparent, an_encrypted_name_counts_where_our_resolver_told_that_address_for_it) {
  settings.ech = ech_policy::strip;
  settings.told = std::make_shared<net::lease_store>(net::lease_terms{});
  const auto until = net::clock::now() + std::chrono::hours{1};
  settings.told->put("origin.test", {{*parse_ip("127.0.0.1")}, until, {}});
  allow_name("origin.test");
  run(set.snapshot());
  const auto encrypted = wire::testing::with_feigned_ech(hello("origin.test"));
  auto p = diverted("127.0.0.1", behind.port);
  EXPECT_TRUE(echoes(p, encrypted));
  p.close();
  EXPECT_EQ(ended().why, reason::mapping_allow);
  auto q = diverted("127.0.0.9", behind.port);
  q.send(encrypted);
  EXPECT_EQ(q.all(), denied_alert);
  EXPECT_EQ(ended().why, reason::ech_refused);
}

TEST_F(transparent, a_hello_may_come_byte_by_byte) {
  allow_name("origin.test");
  run(set.snapshot());
  auto p = diverted("127.0.0.1", behind.port);
  auto bytes = hello("origin.test");
  for (char c : bytes)
    ASSERT_TRUE(p.send({&c, 1}));
  EXPECT_EQ(p.exactly(bytes.size()), bytes);
}

TEST_F(transparent, a_name_that_no_mapping_allows_is_refused_with_an_alert) {
  allow_name("origin.test");
  run(set.snapshot());
  auto p = diverted("127.0.0.1", behind.port);
  p.send(hello("elsewhere.test"));
  EXPECT_EQ(p.all(), denied_alert);
  auto r = ended();
  EXPECT_EQ(r.why, reason::implicit_deny);
  EXPECT_EQ(r.name, "elsewhere.test");
  EXPECT_EQ(r.address, parse_ip("127.0.0.1"));
  EXPECT_EQ(behind.connections, 0);
}

TEST_F(transparent, a_name_that_leads_to_a_private_range_is_refused_unless_its_mapping_says_so) {
  set.mapping(client_, set.service("origin", "origin.test"));
  run(set.snapshot());
  auto p = diverted("192.0.2.1", behind.port);
  p.send(hello("origin.test"));
  EXPECT_EQ(p.all(), denied_alert);
  EXPECT_EQ(ended().why, reason::private_destination);
  EXPECT_EQ(behind.connections, 0);
}

TEST_F(transparent, without_a_name_it_is_refused_as_before) {
  allow_name("origin.test");
  run(set.snapshot());
  auto nameless = diverted("127.0.0.1", behind.port);
  nameless.send(hello(""));
  EXPECT_EQ(nameless.all(), denied_alert);
  EXPECT_EQ(ended().why, reason::implicit_deny);
  auto other = diverted("127.0.0.1", behind.port);
  other.send("SSH-2.0-x\r\n");
  EXPECT_EQ(other.all(), "");
  EXPECT_EQ(ended().why, reason::implicit_deny);
  auto ends = diverted("127.0.0.1", behind.port);
  ends.shut_down();
  EXPECT_EQ(ends.all(), "");
  EXPECT_EQ(ended().why, reason::implicit_deny);
  EXPECT_EQ(behind.connections, 0);
}

TEST_F(transparent, a_hello_is_awaited_for_a_bounded_time) {
  settings.head_timeout = 100ms;
  allow_name("origin.test");
  run(set.snapshot());
  auto silent = diverted("127.0.0.1", behind.port);
  EXPECT_EQ(silent.all(), "");
  EXPECT_EQ(ended().why, reason::implicit_deny);
  auto slow = diverted("127.0.0.1", behind.port);
  slow.send(hello("origin.test").substr(0, 50));
  EXPECT_EQ(slow.all(), decode_alert);
  EXPECT_EQ(ended().why, reason::bad_hello);
}

TEST_F(transparent, no_hello_is_awaited_where_no_mapping_allows_a_name) {
  settings.head_timeout = 60s;
  set.mapping(client_, set.service("origin", "origin.test", {}, 1)).allow_private = true;
  run(set.snapshot());
  auto silent = diverted("127.0.0.1", behind.port);
  EXPECT_EQ(silent.all(), ""); // which gives up after ten seconds
  EXPECT_EQ(ended().why, reason::implicit_deny);
}

TEST_F(transparent, an_allowed_address_is_connected_to_at_once_and_a_denied_name_refused) {
  set.mapping(client_, set.service("address", "127.0.0.1/32"));
  set.mapping(client_, set.service("denied", "denied.test"), model::mapping_action::deny);
  run(set.snapshot());
  auto p = diverted("127.0.0.1", behind.port);
  EXPECT_TRUE(eventually([&] { return behind.connections == 1; }));
  p.send(hello("denied.test"));
  EXPECT_EQ(p.all(), denied_alert);
  auto r = ended();
  EXPECT_EQ(r.why, reason::mapping_deny);
  EXPECT_EQ(r.mapping, mapping_id{2});
  EXPECT_EQ(r.sni, "denied.test");
  auto q = diverted("127.0.0.1", behind.port);
  EXPECT_TRUE(echoes(q, hello("elsewhere.test")));
}

TEST_F(transparent, an_address_that_a_mapping_denies_is_not_saved_by_a_name) {
  settings.head_timeout = 60s;
  allow_name("origin.test");
  set.mapping(client_, set.service("address", "127.0.0.1/32"), model::mapping_action::deny);
  run(set.snapshot());
  auto p = diverted("127.0.0.1", behind.port);
  EXPECT_EQ(p.all(), "");
  EXPECT_EQ(ended().why, reason::mapping_deny);
}

TEST_F(transparent, goes_on_being_judged_by_the_name) {
  allow_name("origin.test");
  run(set.snapshot());
  auto p = diverted("127.0.0.1", behind.port);
  EXPECT_TRUE(echoes(p, hello("origin.test")));
  set.mapping(client_, set.service("other", "other.test"));
  turn_to(set.snapshot());
  EXPECT_TRUE(echoes(p, "kept"));
  rules later{2};
  later.mapping(later.service("client", "127.0.0.1/32"), later.service("other", "other.test"));
  turn_to(later.snapshot());
  EXPECT_EQ(p.all(), "");
  EXPECT_EQ(ended().why, reason::revision_changed);
}

} // namespace
} // namespace marchproxy::relay

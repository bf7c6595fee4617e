// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/encoding.hpp"
#include "actors/identity/tokens.hpp"
#include "nodes/relay/judge.hpp"
#include "nodes/relay/udp_fixture.test.hpp"
#include "nodes/wire/openssl_hello.test.hpp"
#include "nodes/wire/socks5.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;
using model::mapping_action;

/// Mapping 1 denies `client` (127.0.0.1) the origin (127.0.0.1), and is observed.
class relay_observe : public relaying {
protected:
  rules denied_and_observed(std::uint64_t revision = 1) {
    rules r{revision};
    auto client = r.service("client", "127.0.0.1/32");
    auto& m = r.mapping(client, r.service("origin", "127.0.0.1/32"), mapping_action::deny);
    m.observe = true;
    m.allow_private = true; // loopback
    return r;
  }
  /// Mapping 1 wants the token of `web`, and is observed.
  rules keyed_and_observed() {
    rules r;
    auto web = r.service("web", "127.0.0.1/32");
    r.credential(web, "first", "", identity::token_hash("t0ken"));
    auto& m = r.mapping(web, r.service("origin", "127.0.0.1/32"));
    m.auth_required = true;
    m.observe = true;
    m.allow_private = true;
    return r;
  }
  static std::string basic(const std::string& secret) {
    return "Proxy-Authorization: Basic " + crypto::to_base64("web:" + secret) + "\r\n";
  }
  static bool echoes(peer& p, const std::string& text) {
    return p.send(text) && p.exactly(text.size()) == text;
  }
  std::uint64_t observed(reason why) const {
    return server->totals().observed[static_cast<std::size_t>(why)];
  }
  void expect_shadow(const decision_record& r, reason why) {
    EXPECT_TRUE(r.allowed);
    EXPECT_EQ(r.observed, why);
    EXPECT_EQ(r.why, why);
    EXPECT_EQ(r.mapping, mapping_id{1});
  }

  origin behind{echo};
};

TEST_F(relay_observe, what_a_mapping_denies_passes_and_is_told_and_counted_apart) {
  start(denied_and_observed(4).snapshot());
  auto p = dial();
  EXPECT_TRUE(connect(p, at(behind.port)).starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(echoes(p, "hello"));
  p.close();
  auto r = record();
  expect_shadow(r, reason::mapping_deny);
  EXPECT_EQ(r.revision, revision{4});
  EXPECT_EQ(r.bytes_down, 5U);
  auto totals = server->totals();
  EXPECT_EQ(observed(reason::mapping_deny), 1U);
  EXPECT_EQ(totals.reasons[static_cast<std::size_t>(reason::mapping_deny)], 0U);
  EXPECT_EQ(totals.denied, 0U);
  EXPECT_EQ(totals.allowed, 0U);
  EXPECT_EQ(totals.all_observed(), 1U);
  EXPECT_EQ(totals.mappings[mapping_id{1}], (mapping_count{0, 0, 1}));
}

TEST_F(relay_observe, missing_and_wrong_credentials_pass_and_right_ones_are_known) {
  start(keyed_and_observed().snapshot());
  for (const auto& fields : {""s, basic("wrong"), basic("t0ken")}) {
    const auto before = records().size();
    auto p = dial();
    EXPECT_TRUE(connect(p, at(behind.port), fields).starts_with("HTTP/1.1 200")) << fields;
    EXPECT_TRUE(echoes(p, "x"));
    p.close();
    // Two that close at once are told in either order.
    ASSERT_TRUE(eventually([&] { return records().size() == before + 1; }));
  }
  expect_shadow(records()[0], reason::auth_required);
  expect_shadow(records()[1], reason::auth_failed);
  EXPECT_EQ(records()[2].observed, std::nullopt);
  EXPECT_EQ(records()[2].why, reason::mapping_allow);
  EXPECT_EQ(records()[2].identity, service_id{1});
  EXPECT_EQ(server->totals().auth_failures, 1U);
  EXPECT_EQ(server->totals().mappings[mapping_id{1}], (mapping_count{1, 0, 2}));
}

TEST_F(relay_observe, holds_for_forwarded_requests_each_of_which_is_told) {
  origin web{[](peer& p) {
    while (!p.until("\r\n\r\n").empty())
      p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  }};
  start(denied_and_observed().snapshot());
  auto p = dial();
  for (int i = 0; i < 2; ++i) {
    p.send("GET http://" + at(web.port) + "/ HTTP/1.1\r\nHost: " + at(web.port) + "\r\n\r\n");
    EXPECT_TRUE(p.until("\r\n\r\n").starts_with("HTTP/1.1 200"));
    EXPECT_EQ(p.exactly(2), "hi");
  }
  ASSERT_TRUE(eventually([&] { return records().size() == 2; }));
  for (const auto& r : records())
    expect_shadow(r, reason::mapping_deny);
  EXPECT_EQ(web.connections, 1) << "the second request used the connection again";
}

TEST_F(relay_observe, holds_for_socks_and_its_datagrams) {
  start(denied_and_observed().snapshot());
  auto p = dial();
  p.send("\x05\x01\x00"s);
  EXPECT_EQ(p.exactly(2), "\x05\x00"s);
  p.send("\x05\x01\x00\x01\x7f\x00\x00\x01"s + static_cast<char>(behind.port >> 8)
         + static_cast<char>(behind.port & 0xff));
  EXPECT_EQ(p.exactly(10).substr(0, 2), "\x05\x00"s);
  EXPECT_TRUE(echoes(p, "tcp"));
  p.close();
  expect_shadow(record(), reason::mapping_deny);

  auto control = dial();
  control.send("\x05\x01\0"s);
  EXPECT_EQ(control.exactly(2), "\x05\0"s);
  control.send("\x05\x03\0\x01\0\0\0\0\0\0"s);
  auto entry = wire::socks5::parse_datagram("\0\0\0"s + control.exactly(10).substr(3));
  ASSERT_TRUE(entry);
  udp_peer client;
  udp_peer far;
  client.send({*entry->target.host.address(), entry->target.port},
              std::string{wire::socks5::datagram_head(far.at.address, far.at.port).view()} + "udp");
  auto got = far.receive();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->second, "udp");
  control.close();
  ASSERT_TRUE(eventually([&] { return records().size() == 2; }));
  expect_shadow(records()[1], reason::mapping_deny);
}

TEST_F(relay_observe, a_listener_asks_nobody_for_credentials) {
  reserved_port listen;
  auto set = keyed_and_observed();
  auto& to = set.at(service_id{2});
  to.ports = model::port_set{{{behind.port, behind.port}}};
  to.listen_port = listen.number;
  start(set.snapshot());
  auto p = peer::to(listen.number);
  EXPECT_TRUE(echoes(p, "the first bytes are the service's"));
  p.close();
  expect_shadow(record(), reason::auth_required);
}

TEST_F(relay_observe, a_server_name_that_a_mapping_denies_goes_on) {
  rules set;
  auto client = set.service("client", "127.0.0.1/32");
  auto& denied = set.mapping(client, set.service("denied", "denied.test"), mapping_action::deny);
  denied.observe = true;
  denied.allow_private = true;
  set.mapping(client, set.service("origin", "origin.test")).allow_private = true;
  start(set.snapshot());
  auto p = dial();
  EXPECT_TRUE(connect(p, at(behind.port, "origin.test")).starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(echoes(p, wire::testing::openssl_hello({"denied.test", {}, 0})));
  p.close();
  auto r = record();
  expect_shadow(r, reason::mapping_deny);
  EXPECT_EQ(r.sni, "denied.test");
}

TEST_F(relay_observe, a_tunnel_outlives_a_revision_that_would_cut_it_until_it_is_enforced) {
  start(allow_loopback(1).snapshot());
  auto p = dial();
  connect(p, at(behind.port));
  EXPECT_TRUE(echoes(p, "one"));
  publish(denied_and_observed(2).snapshot());
  EXPECT_TRUE(echoes(p, "two"));
  EXPECT_TRUE(eventually([&] { return observed(reason::mapping_deny) == 1; }));
  publish(denied_and_observed(3).snapshot());
  EXPECT_TRUE(echoes(p, "three"));
  EXPECT_EQ(observed(reason::mapping_deny), 1U) << "once is enough";
  rules enforced{4};
  enforced.service("client", "127.0.0.1/32");
  publish(enforced.snapshot());
  EXPECT_EQ(p.all(), "");
  auto r = record();
  EXPECT_EQ(r.why, reason::revision_changed);
  EXPECT_EQ(r.observed, reason::mapping_deny);
  EXPECT_EQ(r.revision, revision{2});
}

TEST_F(relay_observe, a_flow_that_fails_says_both) {
  start(denied_and_observed().snapshot());
  auto p = dial();
  EXPECT_TRUE(connect(p, at(closed_port())).starts_with("HTTP/1.1 502"));
  auto r = record();
  EXPECT_EQ(r.why, reason::connect_failed);
  EXPECT_EQ(r.observed, reason::mapping_deny);
}

TEST_F(relay_observe, of_a_names_addresses_those_that_are_allowed_come_first) {
  std::ofstream{hosts, std::ios::app} << "127.0.0.2 many.test\n127.0.0.1 many.test\n";
  rules set;
  auto client = set.service("client", "127.0.0.1/32");
  auto& watched = set.mapping(client, set.service("second", "127.0.0.2/32"), mapping_action::deny);
  watched.observe = true;
  watched.allow_private = true;
  watched.priority = 1;
  set.mapping(client, set.service("many", "many.test")).allow_private = true;
  start(set.snapshot());
  auto p = dial();
  EXPECT_TRUE(connect(p, at(behind.port, "many.test")).starts_with("HTTP/1.1 200"));
  p.close();
  auto r = record();
  EXPECT_EQ(r.observed, std::nullopt);
  EXPECT_EQ(r.address, parse_ip("127.0.0.1"));
}

TEST_F(relay_observe, limits_hold_all_the_same) {
  auto set = keyed_and_observed();
  model::limits once;
  once.connections = model::rate_limit{1, 3600, 1};
  set.at(service_id{2}).limits = once;
  start(set.snapshot());
  auto first = dial();
  EXPECT_TRUE(connect(first, at(behind.port)).starts_with("HTTP/1.1 200"));
  auto second = dial();
  EXPECT_TRUE(connect(second, at(behind.port)).starts_with("HTTP/1.1 429"));
  auto r = record();
  EXPECT_EQ(r.why, reason::rate_limited);
  EXPECT_FALSE(r.allowed);
  EXPECT_EQ(r.observed, std::nullopt);
}

TEST_F(relay_observe, leads_nobody_to_the_node_itself_unless_the_mapping_may) {
  rules set;
  auto client = set.service("client", "127.0.0.1/32");
  set.mapping(client, model::select_all{}, mapping_action::deny).observe = true;
  set.observe();
  start(set.snapshot());
  for (const auto* source : {"127.0.0.1", "127.0.0.3"}) // by the mapping, and by none
    for (const auto* host : {"127.0.0.1", "private.test", "[::1]", "169.254.169.254"}) {
      auto refused = dial(source);
      auto head = connect(refused, at(behind.port, host));
      EXPECT_TRUE(head.starts_with("HTTP/1.1 403")) << source << host << head;
    }
  EXPECT_EQ(server->totals().all_observed(), 0U);
  EXPECT_EQ(behind.connections, 0);
}

TEST(judge_observed, an_observed_cluster_lets_through_what_no_mapping_allows_and_says_why_not) {
  rules set;
  auto client = set.service("client", "10.0.0.1/32");
  set.mapping(client, model::select_all{});
  set.observe();
  auto snapshot = set.snapshot();
  question q{*parse_ip("10.0.0.1"), "a.test", 443, nullptr, {}};
  auto in_private = judge_address(snapshot.get(), q, *parse_ip("10.1.1.1"));
  EXPECT_EQ(in_private.why, reason::private_destination);
  EXPECT_TRUE(in_private.allowed());
  auto at_metadata = judge_address(snapshot.get(), q, *parse_ip("169.254.169.254"));
  EXPECT_EQ(at_metadata.why, reason::private_destination);
  EXPECT_FALSE(at_metadata.allowed());
  question stranger{*parse_ip("10.0.0.2"), "a.test", 443, nullptr, {}};
  EXPECT_TRUE(judge_name(snapshot.get(), stranger).allowed()) << "or its name is not resolved";
  auto j = judge_address(snapshot.get(), stranger, *parse_ip("192.0.2.1"));
  EXPECT_EQ(j.why, reason::implicit_deny);
  EXPECT_TRUE(j.allowed());
  EXPECT_FALSE(judge_name(nullptr, stranger).allowed()) << "no policy is no verdict";
}

} // namespace
} // namespace marchproxy::relay

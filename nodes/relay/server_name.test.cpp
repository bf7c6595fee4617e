// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/server_name.hpp"

#include "nodes/relay/relay_fixture.test.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;

TEST(named_ports, are_those_of_active_tcp_mappings_to_names) {
  rules set;
  auto client = set.service("client", "10.0.0.1/32");
  auto named = set.service("named", "a.test", {}, 443);
  auto wild = set.service("wild", "*.b.test");
  auto address = set.service("address", "192.0.2.0/24");
  set.mapping(client, named);
  set.mapping(client, address).ports = model::port_set{{{22, 22}}};
  set.mapping(client, model::select_all{}, model::mapping_action::deny);
  auto& udp = set.mapping(client, wild);
  udp.protocols = static_cast<model::protocol_set>(model::protocol::udp);
  set.mapping(client, wild).active = false;
  set.mapping(client, wild, model::mapping_action::bypass).ports = model::port_set{{{8443, 8445}}};
  set.mapping(client, wild, model::mapping_action::deny).ports = model::port_set{{{25, 25}}};
  auto snapshot = set.snapshot();
  const auto& names = snapshot->names;
  for (auto port : std::vector<std::uint16_t>{443, 8443, 8444, 8445})
    EXPECT_TRUE(names.may_allow(port)) << port;
  for (auto port : std::vector<std::uint16_t>{1, 22, 25, 442, 444, 8446})
    EXPECT_FALSE(names.may_allow(port)) << port;
  EXPECT_TRUE(names.may_deny(25));
  EXPECT_FALSE(names.may_deny(443));
  EXPECT_FALSE(named_ports{}.may_allow(443));
}

TEST(server_name, is_held_against_the_name_asked_for_and_against_no_address) {
  rules set;
  auto client = set.service("client", "10.0.0.1/32");
  set.mapping(client, set.service("a", "a.test"));
  set.mapping(client, set.service("net", "192.0.2.0/24"));
  set.mapping(client, set.service("denied", "denied.test"), model::mapping_action::deny);
  auto snapshot = set.snapshot();
  decision_record flow;
  flow.source = {*parse_ip("10.0.0.1"), 1};
  flow.port = 443;
  auto why = [&](entry via, const std::string& asked, const std::string& address,
                 const std::string& sni) {
    flow.via = via;
    flow.name = asked;
    flow.address = parse_ip(address);
    auto refused = judge_server_name(snapshot.get(), flow, sni);
    return refused ? std::string{to_string(refused->why)} : "";
  };
  for (auto via : {entry::connect, entry::socks5}) {
    EXPECT_EQ(why(via, "a.test", "198.51.100.1", "a.test"), "");
    EXPECT_EQ(why(via, "a.test", "198.51.100.1", ""), "");
    EXPECT_EQ(why(via, "a.test", "198.51.100.1", "b.test"), "sni_mismatch");
    // The client might have asked for that address, and for every name there.
    EXPECT_EQ(why(via, "a.test", "192.0.2.1", "b.test"), "");
    EXPECT_EQ(why(via, "a.test", "192.0.2.1", "denied.test"), "mapping_deny");
  }
  for (auto via : {entry::connect, entry::socks5, entry::listener, entry::transparent}) {
    EXPECT_EQ(why(via, "", "192.0.2.1", "b.test"), "");
    EXPECT_EQ(why(via, "", "192.0.2.1", "denied.test"), "mapping_deny");
  }
  EXPECT_EQ(why(entry::listener, "a.test", "198.51.100.1", "proxy.test"), "");
}

TEST(server_name, priority_decides_between_an_address_and_a_denied_name) {
  rules set;
  auto client = set.service("client", "10.0.0.1/32");
  set.mapping(client, set.service("net", "192.0.2.0/24")).priority = 1;
  set.mapping(client, set.service("denied", "denied.test"), model::mapping_action::deny);
  auto snapshot = set.snapshot();
  decision_record flow;
  flow.source = {*parse_ip("10.0.0.1"), 1};
  flow.port = 443;
  flow.address = parse_ip("192.0.2.1");
  EXPECT_FALSE(judge_server_name(snapshot.get(), flow, "denied.test"));
}

TEST(server_name, that_is_observed_is_no_refusal_but_says_what_it_would_be) {
  decision_record flow;
  flow.via = entry::connect;
  flow.source = {*parse_ip("10.0.0.1"), 1};
  flow.name = "a.test";
  flow.port = 443;
  flow.address = parse_ip("198.51.100.1");
  auto refusal = [&](bool mapping, bool cluster, const std::string& sni) {
    rules set;
    auto client = set.service("client", "10.0.0.1/32");
    set.mapping(client, set.service("a", "a.test"));
    auto& denied =
      set.mapping(client, set.service("denied", "denied.test"), model::mapping_action::deny);
    denied.observe = mapping;
    if (cluster)
      set.observe();
    auto j = judge_server_name(set.snapshot().get(), flow, sni);
    EXPECT_TRUE(j);
    return std::string{to_string(j->why)} + (j->allowed() ? " observed" : "");
  };
  EXPECT_EQ(refusal(true, false, "denied.test"), "mapping_deny observed");
  EXPECT_EQ(refusal(true, false, "b.test"), "sni_mismatch") << "no mapping's";
  EXPECT_EQ(refusal(false, true, "denied.test"), "mapping_deny observed");
  EXPECT_EQ(refusal(false, true, "b.test"), "sni_mismatch observed");
  EXPECT_EQ(refusal(false, false, "denied.test"), "mapping_deny");
  rules set;
  set.observe();
  auto snapshot = set.snapshot();
  EXPECT_TRUE(refused_for(snapshot.get(), reason::ech_refused).allowed());
  EXPECT_FALSE(refused_for(snapshot.get(), reason::bad_hello).allowed());
}

TEST(server_name, each_refusal_has_its_alert) {
  EXPECT_EQ(alert_of(reason::sni_mismatch), wire::tls_alert::unrecognized_name);
  EXPECT_EQ(alert_of(reason::bad_hello), wire::tls_alert::decode_error);
  EXPECT_EQ(alert_of(reason::ech_refused), wire::tls_alert::access_denied);
  EXPECT_EQ(alert_of(reason::implicit_deny), wire::tls_alert::access_denied);
}

} // namespace
} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/digest.hpp"
#include "nodes/relay/udp_fixture.test.hpp"
#include "nodes/wire/socks5.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;
namespace socks5 = wire::socks5;

std::string to_target(const net::endpoint& target, std::string_view data) {
  return std::string{socks5::datagram_head(target.address, target.port).view()} += data;
}
std::string to_name(const std::string& name, std::uint16_t port, std::string_view data) {
  auto out = "\0\0\0\x03"s;
  out += static_cast<char>(name.size());
  out += name;
  out += static_cast<char>(port >> 8);
  out += static_cast<char>(port & 0xff);
  return out += data;
}

class relay_socks_udp : public relaying {
protected:
  /// Where the relay takes the client's datagrams.
  net::endpoint associate(peer& control) {
    control.send("\x05\x01\0"s);
    EXPECT_EQ(control.exactly(2), "\x05\0"s);
    return ask_for_association(control);
  }
  net::endpoint ask_for_association(peer& control) {
    control.send("\x05\x03\0\x01\0\0\0\0\0\0"s);
    auto reply = control.exactly(10);
    EXPECT_EQ(reply.substr(0, 4), "\x05\0\0\x01"s);
    auto back = socks5::parse_datagram("\0\0\0"s + reply.substr(3));
    EXPECT_TRUE(back);
    return {*back->target.host.address(), back->target.port};
  }
  udp_peer origin_;
  udp_peer client_;
};

TEST_F(relay_socks_udp, a_name_is_known_by_its_lease_and_the_record_tells_it) {
  rules set;
  set.mapping(set.service("client", "127.0.0.1/32"), set.service("leased", "leased.test"))
    .allow_private = true;
  const auto ends = wall_now() + 60s;
  settings.resolver.leases->put("leased.test",
                                {{*parse_ip("127.0.0.1")}, net::clock::now() + 60s, ends});
  start(set.snapshot());
  auto control = dial();
  client_.send(associate(control), to_name("leased.test", origin_.at.port, "hello"));
  auto got = origin_.receive();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->second, "hello");
  control.close();
  auto r = record();
  EXPECT_EQ(r.address, parse_ip("127.0.0.1"));
  EXPECT_EQ(r.lease_ends, ends);
}

TEST_F(relay_socks_udp, datagrams_go_both_ways_and_make_one_record) {
  start(allow_loopback().snapshot());
  auto control = dial();
  auto relay = associate(control);
  for (auto text : {"one"s, "two"s, ""s}) {
    client_.send(relay, to_target(origin_.at, text));
    auto got = origin_.receive();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->second, text);
    origin_.send(got->first, "re " + text);
    auto back = client_.receive();
    ASSERT_TRUE(back);
    EXPECT_EQ(back->second, to_target(origin_.at, "re " + text));
  }
  control.close();
  auto r = record();
  EXPECT_EQ(r.via, entry::socks5_udp);
  EXPECT_EQ(r.protocol, model::protocol::udp);
  EXPECT_EQ(r.why, reason::mapping_allow);
  EXPECT_EQ(r.bytes_up, 6U);
  EXPECT_EQ(r.bytes_down, 15U);
  EXPECT_EQ(server->totals().udp_up, 3U);
  EXPECT_EQ(server->totals().udp_down, 3U);
  EXPECT_TRUE(eventually([&] { return server->totals().open == 0; }));
}

TEST_F(relay_socks_udp, a_name_is_resolved_once_and_what_came_meanwhile_is_not_lost) {
  rules r;
  r.mapping(r.service("client", "127.0.0.1/32"), r.service("named", "origin.test")).allow_private =
    true;
  start(r.snapshot());
  auto control = dial();
  auto relay = associate(control);
  client_.send(relay, to_name("origin.test", origin_.at.port, "one"));
  client_.send(relay, to_name("origin.test", origin_.at.port, "two"));
  EXPECT_EQ(origin_.receive()->second, "one");
  EXPECT_EQ(origin_.receive()->second, "two");
  // The name was allowed; its address, asked for by itself, was not.
  client_.send(relay, to_target(origin_.at, "three"));
  EXPECT_FALSE(origin_.receive(nothing_comes));
  control.close();
  ASSERT_TRUE(eventually([&] { return records().size() == 2; }));
  EXPECT_EQ(records()[0].name, "origin.test");
  EXPECT_FALSE(records()[1].allowed);
}

TEST_F(relay_socks_udp, what_is_refused_makes_one_record_and_reaches_nobody) {
  rules r;
  r.service("origin", "127.0.0.1/32");
  start(r.snapshot());
  auto control = dial();
  auto relay = associate(control);
  for (int i = 0; i < 5; ++i)
    client_.send(relay, to_target(origin_.at, "x"));
  EXPECT_FALSE(origin_.receive(nothing_comes));
  control.close();
  EXPECT_EQ(record().why, reason::implicit_deny);
  EXPECT_EQ(server->totals().udp_dropped, 5U);
}

TEST_F(relay_socks_udp, a_mapping_for_tcp_says_nothing_of_udp) {
  rules r;
  r.mapping(r.service("client", "127.0.0.1/32"), r.service("origin", "127.0.0.1/32")).protocols =
    static_cast<model::protocol_set>(model::protocol::tcp);
  start(r.snapshot());
  auto control = dial();
  client_.send(associate(control), to_target(origin_.at, "x"));
  EXPECT_FALSE(origin_.receive(nothing_comes));
}

TEST_F(relay_socks_udp, strangers_reach_neither_side) {
  start(allow_loopback().snapshot());
  auto control = dial();
  auto relay = associate(control);
  udp_peer elsewhere{"127.0.0.3"};
  elsewhere.send(relay, to_target(origin_.at, "not the client's address"));
  EXPECT_FALSE(origin_.receive(nothing_comes));
  client_.send(relay, to_target(origin_.at, "hello"));
  auto got = origin_.receive();
  ASSERT_TRUE(got);
  udp_peer other_port;
  other_port.send(relay, to_target(origin_.at, "not the client's port"));
  EXPECT_FALSE(origin_.receive(nothing_comes));
  elsewhere.send({*parse_ip("127.0.0.1"), got->first.port}, "not asked for");
  EXPECT_FALSE(client_.receive(nothing_comes));
  EXPECT_EQ(server->totals().udp_dropped, 3U);
}

TEST_F(relay_socks_udp, a_new_revision_cuts_what_it_refuses_and_allows_what_was_refused) {
  start(allow_loopback(1).snapshot());
  auto control = dial();
  auto relay = associate(control);
  client_.send(relay, to_target(origin_.at, "one"));
  ASSERT_TRUE(origin_.receive());
  publish(rules{2}.snapshot());
  EXPECT_EQ(record().why, reason::revision_changed);
  client_.send(relay, to_target(origin_.at, "two"));
  EXPECT_FALSE(origin_.receive(nothing_comes));
  publish(allow_loopback(3).snapshot());
  client_.send(relay, to_target(origin_.at, "three"));
  auto got = origin_.receive();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->second, "three");
}

TEST_F(relay_socks_udp, silence_ends_a_flow_and_not_the_association) {
  settings.udp_idle_timeout = 80ms;
  start(allow_loopback().snapshot());
  auto control = dial();
  auto relay = associate(control);
  client_.send(relay, to_target(origin_.at, "one"));
  auto got = origin_.receive();
  ASSERT_TRUE(got);
  EXPECT_TRUE(eventually([&] { return records().size() == 1; }));
  origin_.send(got->first, "late");
  EXPECT_FALSE(client_.receive(nothing_comes));
  client_.send(relay, to_target(origin_.at, "two"));
  EXPECT_TRUE(origin_.receive());
}

TEST_F(relay_socks_udp, credentials_of_the_connection_hold_for_its_datagrams) {
  rules r;
  auto client = r.service("client", "127.0.0.1/32");
  r.mapping(client, r.service("origin", "127.0.0.1/32")).auth_required = true;
  auto digest = crypto::sha256("token");
  r.credential(client, "t", "", crypto::to_hex(crypto::view(digest)));
  start(r.snapshot());
  auto none = dial();
  client_.send(associate(none), to_target(origin_.at, "x"));
  EXPECT_FALSE(origin_.receive(nothing_comes));
  auto control = dial();
  control.send("\x05\x01\x02"s);
  EXPECT_EQ(control.exactly(2), "\x05\x02"s);
  control.send("\x01\x06"s + "client\x05token");
  EXPECT_EQ(control.exactly(2), "\x01\0"s);
  auto relay = ask_for_association(control);
  client_.send(relay, to_target(origin_.at, "y"));
  auto got = origin_.receive();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->second, "y");
}

} // namespace
} // namespace marchproxy::relay

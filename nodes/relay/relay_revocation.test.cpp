// SPDX-License-Identifier: AGPL-3.0-only
// What becomes of flows that a revision refuses, as their mapping says (POL-12).
#include "actors/identity/tokens.hpp"
#include "nodes/relay/udp_fixture.test.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;
using model::revocation;

class relay_revocation : public relaying {
protected:
  static rules with(std::uint64_t number, revocation what, std::uint32_t seconds = 60) {
    rules r{number};
    auto& m = r.mapping(r.service("client", "127.0.0.1/32"), r.service("origin", "127.0.0.1/32"));
    m.allow_private = true;
    m.when_revoked = what;
    m.drain_seconds = seconds;
    return r;
  }
  static bool echoes(peer& p, const std::string& text) {
    return p.send(text) && p.exactly(text.size()) == text;
  }
  peer tunnel_to_origin() {
    auto p = dial();
    EXPECT_TRUE(connect(p, at(behind.port)).starts_with("HTTP/1.1 200"));
    EXPECT_TRUE(echoes(p, "before"));
    return p;
  }

  origin behind{echo};
};

TEST_F(relay_revocation, a_tunnel_finishes_where_its_mapping_lets_it_and_new_ones_are_refused) {
  start(with(1, revocation::finish).snapshot());
  auto p = tunnel_to_origin();
  publish(rules{2}.snapshot());
  auto late = dial();
  EXPECT_TRUE(connect(late, at(behind.port)).starts_with("HTTP/1.1 403"));
  publish(rules{3}.snapshot());
  EXPECT_TRUE(echoes(p, "after"));
  p.close();
  ASSERT_TRUE(eventually([&] { return records().size() == 2; }));
  EXPECT_EQ(records()[1].why, reason::mapping_allow);
  EXPECT_EQ(records()[1].bytes_down, 11U);
}

TEST_F(relay_revocation, a_tunnel_drains_for_as_long_as_its_mapping_says) {
  start(with(1, revocation::drain, 1).snapshot());
  auto p = tunnel_to_origin();
  publish(rules{2}.snapshot());
  publish(rules{3}.snapshot()); // begins no second grace
  EXPECT_TRUE(echoes(p, "still"));
  EXPECT_EQ(p.all(), "");
  EXPECT_EQ(record().why, reason::revision_changed);
}

TEST_F(relay_revocation, a_tunnel_that_is_allowed_again_drains_no_more) {
  start(with(1, revocation::drain, 1).snapshot());
  auto p = tunnel_to_origin();
  publish(rules{2}.snapshot());
  publish(with(3, revocation::cut).snapshot());
  const auto begun = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begun < 1500ms)
    ASSERT_TRUE(echoes(p, "on"));
  publish(rules{4}.snapshot());
  EXPECT_EQ(p.all(), "") << "as the mapping said last";
  EXPECT_EQ(record().why, reason::revision_changed);
}

TEST_F(relay_revocation, credentials_that_hold_no_more_are_granted_nothing) {
  const auto keyed = [](std::uint64_t number, const char* token) {
    rules r{number};
    auto web = r.service("web", "127.0.0.1/32");
    r.credential(web, "first", "", identity::token_hash(token));
    auto& m = r.mapping(web, r.service("origin", "127.0.0.1/32"));
    m.auth_required = true;
    m.allow_private = true;
    m.when_revoked = revocation::finish;
    return r;
  };
  start(keyed(1, "t0ken").snapshot());
  auto p = dial();
  EXPECT_TRUE(
    connect(p, at(behind.port), "Proxy-Authorization: Basic d2ViOnQwa2Vu\r\n") // web:t0ken
      .starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(echoes(p, "before"));
  rules gone{2};
  auto web = gone.service("web", "127.0.0.1/32");
  auto& m = gone.mapping(web, gone.service("origin", "127.0.0.1/32"));
  m.auth_required = true;
  m.allow_private = true;
  publish(gone.snapshot());
  EXPECT_EQ(p.all(), "");
  EXPECT_EQ(record().why, reason::revision_changed);
}

TEST_F(relay_revocation, datagrams_finish_and_drain_likewise) {
  udp_peer client;
  udp_peer far;
  const auto to_far = [&](const std::string& text) {
    return "\0\0\0\x01\x7f\0\0\x01"s + static_cast<char>(far.at.port >> 8)
           + static_cast<char>(far.at.port & 0xff) + text;
  };
  start(with(1, revocation::drain, 1).snapshot());
  auto control = dial();
  control.send("\x05\x01\0"s);
  EXPECT_EQ(control.exactly(2), "\x05\0"s);
  control.send("\x05\x03\0\x01\0\0\0\0\0\0"s);
  const auto reply = control.exactly(10);
  const auto port = static_cast<std::uint16_t>(static_cast<unsigned char>(reply[8]) << 8
                                               | static_cast<unsigned char>(reply[9]));
  const net::endpoint relay{*parse_ip("127.0.0.1"), port};
  client.send(relay, to_far("one"));
  ASSERT_TRUE(far.receive());
  publish(rules{2}.snapshot());
  client.send(relay, to_far("two"));
  EXPECT_TRUE(far.receive());
  const auto begun = std::chrono::steady_clock::now();
  const auto passes = [&] {
    client.send(relay, to_far("more"));
    return far.receive(nothing_comes).has_value();
  };
  while (passes() && std::chrono::steady_clock::now() - begun < patience) {
  }
  EXPECT_FALSE(passes());
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 900ms);
}

} // namespace
} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/forward_fixture.test.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;

const auto asks =
  "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n"s;
const auto switches = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                      "Upgrade\r\nSec-WebSocket-Accept: a\r\n\r\n"s;

class relay_upgrade : public forwarding {
protected:
  std::string upgrade(const origin& o, const std::string& fields = asks) {
    return "GET " + url(o, "/chat") + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n";
  }
  /// Switches, then sends back what it gets.
  origin chat{[](peer& p) {
    p.until("\r\n\r\n");
    p.send(switches);
    echo(p);
  }};
};

TEST_F(relay_upgrade, the_request_asks_the_origin_to_switch) {
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send(upgrade(mirror_origin));
  EXPECT_EQ(answer(p).second,
            "GET /chat HTTP/1.1\r\nHost: " + at(mirror_origin.port)
              + "\r\nSec-WebSocket-Key: k\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nVia: 1.1 "
                "marchproxy\r\n\r\n");
  // The origin did not switch: the connection goes on with HTTP.
  p.send("GET " + url(mirror_origin, "/next") + " HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(answer(p).second.starts_with("GET /next "));
}

TEST_F(relay_upgrade, after_the_switch_bytes_flow_both_ways_and_the_flow_goes_on) {
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send(upgrade(chat));
  auto head = p.until("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << head;
  for (auto field : {"\r\nUpgrade: websocket\r\n", "\r\nConnection: Upgrade\r\n",
                     "\r\nSec-WebSocket-Accept: a\r\n", "\r\nVia: 1.1 marchproxy\r\n"})
    EXPECT_NE(head.find(field), std::string::npos) << field << head;
  EXPECT_EQ(head.find("close"), std::string::npos);
  std::string big(500'000, 'x');
  std::thread sender{[&] { p.send(big); }};
  EXPECT_EQ(p.exactly(big.size()), big);
  sender.join();
  EXPECT_TRUE(records().empty());
  p.shut_down();
  EXPECT_EQ(p.all(), "");
  auto r = record();
  EXPECT_EQ(r.via, entry::forward);
  EXPECT_TRUE(r.allowed);
  EXPECT_GT(r.bytes_up, big.size());
  EXPECT_GT(r.bytes_down, big.size());
  EXPECT_LT(r.bytes_up, big.size() + 1000);
  EXPECT_LT(r.bytes_down, big.size() + 1000);
  EXPECT_EQ(server->totals().active[static_cast<std::size_t>(entry::forward)], 0U);
}

TEST_F(relay_upgrade, early_bytes_of_either_side_are_kept) {
  origin eager{[](peer& p) {
    p.until("\r\n\r\n");
    p.send(switches + "first");
    p.send(p.exactly(5));
  }};
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send(upgrade(eager) + "early");
  p.until("\r\n\r\n");
  EXPECT_EQ(p.all(), "firstearly");
}

TEST_F(relay_upgrade, early_bytes_are_the_next_request_when_the_origin_does_not_switch) {
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send(upgrade(mirror_origin) + "GET http://192.0.2.1/ HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(answer(p).first.starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(answer(p).first.starts_with("HTTP/1.1 403"));
}

TEST_F(relay_upgrade, only_websocket_by_a_plain_get_is_passed_on) {
  start(allow_loopback().snapshot());
  struct row {
    std::string method;
    std::string fields;
    std::string version = "1.1";
  };
  for (const auto& [method, fields, version] : std::initializer_list<row>{
         {"GET", "Connection: Upgrade\r\nUpgrade: h2c\r\n"},
         {"GET", "Upgrade: websocket\r\n"},
         {"GET", "Connection: Upgrade\r\n"},
         {"GET", "Connection: Upgrade\r\nUpgrade: websocketx\r\n"},
         {"OPTIONS", asks},
         {"GET", asks + "Content-Length: 1\r\n"},
         {"GET", asks, "1.0"},
       }) {
    auto p = dial();
    p.send(method + " " + url(mirror_origin) + " HTTP/" + version + "\r\nHost: x\r\n" + fields
           + "\r\n");
    if (fields.ends_with("1\r\n"))
      p.send("b");
    auto seen = answer(p).second;
    EXPECT_TRUE(seen.starts_with(method)) << seen;
    EXPECT_EQ(seen.find("Upgrade"), std::string::npos) << seen;
    EXPECT_EQ(seen.find("Connection"), std::string::npos) << seen;
  }
  auto p = dial();
  p.send(upgrade(mirror_origin, "Connection: upgrade\r\nUpgrade: h2c, WebSocket\r\n"));
  auto seen = answer(p).second;
  EXPECT_NE(seen.find("\r\nUpgrade: websocket\r\n"), std::string::npos) << seen;
  EXPECT_EQ(seen.find("h2c"), std::string::npos) << seen;
}

TEST_F(relay_upgrade, a_switch_to_something_else_is_a_bad_gateway) {
  start(allow_loopback().snapshot());
  for (auto fields : {"", "Upgrade: h2c\r\nConnection: Upgrade\r\n", "Upgrade: websocket\r\n",
                      "Connection: Upgrade\r\n",
                      "Upgrade: websocket\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"}) {
    origin wrong{[&](peer& p) {
      p.until("\r\n\r\n");
      p.send("HTTP/1.1 101 Switching Protocols\r\n"s + fields + "\r\n");
      p.receive();
    }};
    auto p = dial();
    p.send(upgrade(wrong));
    EXPECT_TRUE(p.until("\r\n\r\n").starts_with("HTTP/1.1 502")) << fields;
  }
}

TEST_F(relay_upgrade, a_revision_that_refuses_the_flow_cuts_it) {
  start(allow_loopback(1).snapshot());
  auto p = dial();
  p.send(upgrade(chat));
  p.until("\r\n\r\n");
  p.send("ping");
  EXPECT_EQ(p.exactly(4), "ping");
  publish(rules{2}.snapshot());
  EXPECT_EQ(p.all(), "");
  EXPECT_EQ(record().why, reason::revision_changed);
}

} // namespace
} // namespace marchproxy::relay

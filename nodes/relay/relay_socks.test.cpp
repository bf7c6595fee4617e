// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/relay_fixture.test.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;

class relay_socks : public relaying {
protected:
  static std::string port_bytes(std::uint16_t port) {
    return {static_cast<char>(port >> 8), static_cast<char>(port & 0xff)};
  }
  static std::string by_address(std::uint16_t port) {
    return "\x05\x01\x00\x01\x7f\x00\x00\x01"s + port_bytes(port);
  }
  static std::string by_name(const std::string& name, std::uint16_t port) {
    return "\x05\x01\x00\x03"s + static_cast<char>(name.size()) + name + port_bytes(port);
  }
  /// Greets without authentication, asks, and returns the reply code.
  static int ask(peer& p, const std::string& request) {
    p.send("\x05\x01\x00"s);
    EXPECT_EQ(p.exactly(2), "\x05\x00"s);
    p.send(request);
    auto reply = p.exactly(10);
    return reply.size() < 2 ? -1 : reply[1];
  }

  origin server_behind{echo};
};

TEST_F(relay_socks, connects_by_address) {
  start(allow_loopback(4).snapshot());
  auto p = dial();
  EXPECT_EQ(ask(p, by_address(server_behind.port)), 0);
  p.send("hello");
  EXPECT_EQ(p.exactly(5), "hello");
  p.close();
  auto r = record();
  EXPECT_EQ(r.via, entry::socks5);
  EXPECT_EQ(r.revision, revision{4});
  EXPECT_EQ(r.bytes_down, 5U);
}

TEST_F(relay_socks, connects_by_name_and_takes_everything_in_one_packet) {
  rules set;
  set.mapping(set.service("client", "127.0.0.1/32"), set.service("origin", "origin.test"))
    .allow_private = true;
  start(set.snapshot());
  auto p = dial();
  p.send("\x05\x02\x00\x01"s + by_name("Origin.test", server_behind.port) + "early");
  EXPECT_EQ(p.exactly(2), "\x05\x00"s);
  EXPECT_EQ(p.exactly(10).substr(0, 4), "\x05\x00\x00\x01"s);
  EXPECT_EQ(p.exactly(5), "early");
  p.close();
  EXPECT_EQ(record().name, "origin.test");
}

TEST_F(relay_socks, refusals_have_their_codes) {
  auto set = allow_loopback();
  set.mapping(service_id{1}, set.service("missing", "missing.test"));
  set.mapping(service_id{1}, set.service("private", "private.test"));
  start(set.snapshot());
  auto closed = closed_port();
  struct row {
    std::string request;
    int code;
  };
  for (const auto& [request, code] : std::initializer_list<row>{
         {"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50"s, 2},
         {by_name("unknown.test", 80), 2},
         {by_name("private.test", server_behind.port), 2},
         {by_name("missing.test", 80), 4},
         {by_address(closed), 5},
         {"\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50"s, 7},
         {"\x05\x01\x00\x09\x7f\x00\x00\x01\x00\x50"s, 8},
         {by_name("127.1", 80), 1},
         {by_address(0), 1},
       }) {
    auto p = dial();
    EXPECT_EQ(ask(p, request), code) << ::testing::PrintToString(request);
    EXPECT_EQ(p.all(), "");
  }
  EXPECT_EQ(server_behind.connections, 0);
}

TEST_F(relay_socks, a_client_without_a_method_of_ours_is_told_so) {
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send("\x05\x01\x01"s);
  EXPECT_EQ(p.all(), "\x05\xff"s);
}

} // namespace
} // namespace marchproxy::relay

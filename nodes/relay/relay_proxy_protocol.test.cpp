// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/relay_fixture.test.hpp"
#include "nodes/wire/proxy_protocol.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;
namespace pp = wire::proxy_protocol;

/// A load balancer at 127.0.0.9; `client` at 198.51.100.7 may reach the origin, 127.0.0.9 may not.
class behind_a_load_balancer : public relaying {
protected:
  behind_a_load_balancer() {
    settings.proxy_protocol_from = {*parse_prefix("127.0.0.9")};
    auto client = rules_.service("client", "198.51.100.7/32");
    rules_.mapping(client, rules_.service("origin", "127.0.0.1/32"));
  }
  static std::string header(pp::version v, const char* source = "198.51.100.7") {
    return pp::write(v, {*parse_ip(source), 4711, *parse_ip("203.0.113.1"), 443});
  }
  rules rules_;
  origin origin_{echo};
};

TEST_F(behind_a_load_balancer, the_client_that_the_header_names_is_judged) {
  start(rules_.snapshot());
  for (auto v : {pp::version::v1, pp::version::v2}) {
    auto p = dial("127.0.0.9");
    p.send(header(v));
    EXPECT_TRUE(connect(p, at(origin_.port)).starts_with("HTTP/1.1 200"));
    p.send("hello");
    EXPECT_EQ(p.exactly(5), "hello");
  }
  auto other = dial("127.0.0.9");
  other.send(header(pp::version::v2, "198.51.100.8"));
  EXPECT_TRUE(connect(other, at(origin_.port)).starts_with("HTTP/1.1 403"));
  other.close();
  ASSERT_TRUE(eventually([&] { return records().size() == 3; }));
  for (const auto& r : records()) // in the order they ended
    EXPECT_EQ(net::to_string(r.source), r.allowed ? "198.51.100.7:4711" : "198.51.100.8:4711");
}

TEST_F(behind_a_load_balancer, a_header_may_come_byte_by_byte_and_with_what_follows) {
  start(rules_.snapshot());
  auto p = dial("127.0.0.9");
  for (char c : header(pp::version::v1))
    p.send(std::string(1, c));
  EXPECT_TRUE(connect(p, at(origin_.port)).starts_with("HTTP/1.1 200"));
  auto at_once = dial("127.0.0.9");
  auto target = at(origin_.port);
  at_once.send(header(pp::version::v2) + "CONNECT " + target + " HTTP/1.1\r\nHost: " + target
               + "\r\n\r\nearly");
  EXPECT_TRUE(at_once.until("\r\n\r\n").starts_with("HTTP/1.1 200"));
  EXPECT_EQ(at_once.exactly(5), "early");
}

TEST_F(behind_a_load_balancer, without_a_header_it_is_closed_and_counted) {
  start(rules_.snapshot());
  auto p = dial("127.0.0.9");
  EXPECT_EQ(connect(p, at(origin_.port)), "");
  EXPECT_TRUE(eventually([&] { return server->totals().open == 0; }));
  EXPECT_EQ(server->totals().bad_proxy_headers, 1U);
}

TEST_F(behind_a_load_balancer, nobody_else_can_say_who_he_is) {
  start(rules_.snapshot());
  auto p = dial("127.0.0.1");
  p.send(header(pp::version::v1) + "Host: origin\r\n\r\n");
  auto answer = p.until("\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5")) << answer;
  EXPECT_EQ(origin_.connections, 0);
}

TEST_F(behind_a_load_balancer, a_health_check_of_its_own_is_judged_as_itself) {
  start(rules_.snapshot());
  auto p = dial("127.0.0.9");
  p.send("PROXY UNKNOWN\r\n");
  EXPECT_TRUE(connect(p, at(origin_.port)).starts_with("HTTP/1.1 403"));
  p.close();
  EXPECT_EQ(net::to_string(record().source).substr(0, 10), "127.0.0.9:");
}

TEST_F(behind_a_load_balancer, a_service_s_listener_takes_headers_too) {
  std::uint16_t port = 0;
  {
    auto spare = net::listen_tcp({*parse_ip("127.0.0.1"), 0});
    ASSERT_TRUE(spare);
    port = net::local_endpoint(spare->get()).port;
  }
  rules_.mapping(rules_.service("client2", "198.51.100.9/32"),
                 rules_.service("listening", "127.0.0.1/32", port, origin_.port));
  start(rules_.snapshot());
  auto p = peer::to(port, "127.0.0.9");
  p.send(header(pp::version::v2, "198.51.100.9") + "early");
  EXPECT_EQ(p.exactly(5), "early");
  p.close();
  EXPECT_EQ(net::to_string(record().source), "198.51.100.9:4711");
}

} // namespace
} // namespace marchproxy::relay

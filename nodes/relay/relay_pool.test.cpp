// SPDX-License-Identifier: AGPL-3.0-only
// Connections to origins that outlive the client's.
#include "nodes/relay/forward_fixture.test.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;

class relay_pool : public forwarding {
protected:
  /// `client` and `other` may reach the origins at 127.0.0.1.
  static rules two_clients(std::uint64_t revision = 1) {
    rules r{revision};
    auto client = r.service("client", "127.0.0.1/32");
    auto other = r.service("other", "127.0.0.2/32");
    auto origin = r.service("origin", "127.0.0.1/32");
    r.mapping(client, origin);
    r.mapping(other, origin);
    return r;
  }
  std::string
  ask(const origin& o, const std::string& method = "GET", const std::string& fields = "") {
    return method + " " + url(o) + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n";
  }
  /// One request of a client that comes and goes. @return the answer's head
  std::string visit(const origin& o,
                    const std::string& method = "GET",
                    const std::string& fields = "",
                    const char* source = "127.0.0.1") {
    auto p = dial(source);
    p.send(ask(o, method, "Connection: close\r\n" + fields));
    return p.all();
  }
  /// Answers `ok` to everything, and counts the connections that ended.
  origin plain{[this](peer& p) {
    while (!p.until("\r\n\r\n").empty())
      p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    ++ended;
  }};
  std::atomic<int> ended{0};
};

TEST_F(relay_pool, the_next_connection_of_a_client_finds_the_one_to_the_origin_there) {
  start(two_clients().snapshot());
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(visit(plain).ends_with("\r\n\r\nok"));
  auto kept = dial();
  kept.send(ask(plain));
  EXPECT_EQ(answer(kept).second, "ok");
  kept.close(); // without a word
  ASSERT_TRUE(eventually([&] { return server->totals().open == 0; }));
  EXPECT_TRUE(visit(plain).ends_with("ok"));
  EXPECT_EQ(plain.connections, 1);
  ASSERT_TRUE(eventually([&] { return records().size() == 7; }));
  for (const auto& r : records()) {
    EXPECT_EQ(r.mapping, mapping_id{1});
    EXPECT_EQ(r.address, parse_ip("127.0.0.1"));
  }
}

TEST_F(relay_pool, nobody_else_gets_it) {
  start(two_clients().snapshot());
  visit(plain);
  EXPECT_TRUE(visit(plain, "GET", "", "127.0.0.2").ends_with("ok"));
  EXPECT_EQ(plain.connections, 2);
  visit(plain);
  visit(plain, "GET", "", "127.0.0.2");
  EXPECT_EQ(plain.connections, 2);
}

TEST_F(relay_pool, one_connection_of_a_client_goes_back_and_forth_between_origins) {
  start(two_clients().snapshot());
  auto p = dial();
  for (int i = 0; i < 3; ++i) {
    p.send(ask(plain));
    EXPECT_EQ(answer(p).second, "ok");
    p.send(ask(mirror_origin));
    EXPECT_TRUE(answer(p).second.starts_with("GET /"));
  }
  EXPECT_EQ(plain.connections, 1);
  EXPECT_EQ(mirror_origin.connections, 1);
}

TEST_F(relay_pool, what_cannot_be_sent_twice_gets_a_connection_of_its_own) {
  start(two_clients().snapshot());
  visit(plain);
  EXPECT_TRUE(visit(plain, "POST").ends_with("ok"));
  EXPECT_EQ(plain.connections, 2);
}

TEST_F(relay_pool, a_connection_that_the_origin_authenticated_is_not_passed_on) {
  origin negotiates{[](peer& p) {
    while (!p.until("\r\n\r\n").empty())
      p.send("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"a\", Negotiate\r\n"
             "Content-Length: 0\r\n\r\n");
  }};
  start(two_clients().snapshot());
  for (int i = 0; i < 2; ++i) {
    visit(negotiates);
    visit(plain, "GET", "Authorization: ntlm TlRMTVNTUAAB\r\n");
  }
  EXPECT_EQ(negotiates.connections, 2);
  EXPECT_EQ(plain.connections, 2);
  // Within one connection of the client it is what both sides want.
  auto p = dial();
  for (int i = 0; i < 3; ++i) {
    p.send(ask(negotiates));
    answer(p);
  }
  EXPECT_EQ(negotiates.connections, 3);
}

TEST_F(relay_pool, it_ends_with_its_time_with_a_revision_and_beyond_the_bound) {
  settings.upstream_idle_timeout = 50ms;
  start(two_clients(1).snapshot());
  visit(plain);
  EXPECT_TRUE(eventually([&] { return ended == 1; }));
  settings.upstream_idle_timeout = 1h;
  settings.max_idle_upstreams = 1;
  start(two_clients(1).snapshot());
  visit(plain);
  visit(mirror_origin);
  EXPECT_TRUE(eventually([&] { return ended == 2; }));
  visit(plain);
  publish(two_clients(2).snapshot());
  EXPECT_TRUE(eventually([&] { return ended == 3; }));
}

TEST_F(relay_pool, a_revision_that_refuses_the_flow_is_not_gone_around) {
  start(two_clients(1).snapshot());
  visit(plain);
  publish(rules{2}.snapshot());
  EXPECT_TRUE(visit(plain).starts_with("HTTP/1.1 403"));
}

TEST_F(relay_pool, an_origin_that_closed_meanwhile_costs_the_client_nothing) {
  origin once{[](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  }};
  start(two_clients().snapshot());
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(visit(once).ends_with("ok"));
  EXPECT_EQ(once.connections, 5);
}

TEST_F(relay_pool, an_origin_that_speaks_unasked_is_not_listened_to) {
  std::atomic<int> told{0};
  std::atomic<int> over{0};
  origin chatty{[&](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    eventually([&] { return told > over; });
    p.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    p.all();
    ++over;
  }};
  start(two_clients().snapshot());
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(visit(chatty).ends_with("\r\n\r\nok"));
    told = i;
    ASSERT_TRUE(eventually([&] { return over == i; }));
  }
  EXPECT_EQ(chatty.connections, 3);
}

TEST_F(relay_pool, only_what_is_safe_to_repeat_is_sent_again_when_a_kept_connection_breaks) {
  std::atomic<int> heads{0};
  origin breaks{[&](peer& p) {
    // Answers the first request of a connection, and closes at the second without a word.
    p.until("\r\n\r\n");
    ++heads;
    p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    if (!p.until("\r\n\r\n").empty())
      ++heads;
  }};
  start(two_clients().snapshot());
  auto second = [&](const std::string& method) {
    auto p = dial();
    p.send(ask(breaks));
    EXPECT_EQ(answer(p).second, "ok");
    auto before = heads.load();
    p.send(ask(breaks, method));
    auto told = answer(p).first.substr(9, 3);
    return told + " after " + std::to_string(heads - before);
  };
  EXPECT_EQ(second("GET"), "200 after 2");
  EXPECT_EQ(second("DELETE"), "200 after 2");
  EXPECT_EQ(second("POST"), "502 after 1");
  EXPECT_EQ(second("PATCH"), "502 after 1");
  ASSERT_TRUE(eventually([&] { return records().size() == 8; }));
  for (const auto& r : records())
    EXPECT_LT(r.bytes_up, 200U);
}

} // namespace
} // namespace marchproxy::relay

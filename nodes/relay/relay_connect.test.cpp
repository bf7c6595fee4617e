// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/relay_fixture.test.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::relay {
namespace {

using namespace testing;

/// The JSON body behind a refusal's head.
nlohmann::json body_of(peer& p, const std::string& head) {
  auto at = head.find("Content-Length: ");
  if (at == std::string::npos)
    return nlohmann::json::object();
  return nlohmann::json::parse(p.exactly(std::stoul(head.substr(at + 16))), nullptr, false);
}

class relay_connect : public relaying {
protected:
  origin server_behind{echo};
};

TEST_F(relay_connect, an_allowed_target_becomes_a_tunnel) {
  start(allow_loopback(7).snapshot());
  auto p = dial();
  EXPECT_EQ(connect(p, at(server_behind.port)), "HTTP/1.1 200 Connection established\r\n\r\n");
  ASSERT_TRUE(p.send("hello"));
  EXPECT_EQ(p.exactly(5), "hello");
  EXPECT_EQ(server->totals().active[static_cast<std::size_t>(entry::connect)], 1U);
  p.shut_down();
  EXPECT_EQ(p.all(), "");
  auto r = record();
  EXPECT_TRUE(r.allowed);
  EXPECT_EQ(r.why, reason::mapping_allow);
  EXPECT_EQ(r.mapping, mapping_id{1});
  EXPECT_EQ(r.revision, revision{7});
  EXPECT_EQ(r.asked, at(server_behind.port));
  EXPECT_EQ(r.address, parse_ip("127.0.0.1"));
  EXPECT_EQ(r.bytes_up, 5U);
  EXPECT_EQ(r.bytes_down, 5U);
  EXPECT_GE(r.ended, r.started);
  auto totals = server->totals();
  EXPECT_EQ(totals.allowed, 1U);
  EXPECT_EQ(totals.bytes_up, 5U);
  EXPECT_EQ(totals.mappings[mapping_id{1}], (mapping_count{1, 0}));
  EXPECT_TRUE(eventually([&] { return server->totals().open == 0; }));
}

TEST_F(relay_connect, bytes_sent_ahead_of_the_answer_are_delivered) {
  start(allow_loopback().snapshot());
  auto p = dial();
  auto target = at(server_behind.port);
  p.send("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\nearly");
  EXPECT_EQ(p.until("\r\n\r\n"), "HTTP/1.1 200 Connection established\r\n\r\n");
  EXPECT_EQ(p.exactly(5), "early");
}

TEST_F(relay_connect, a_head_may_arrive_byte_by_byte) {
  start(allow_loopback().snapshot());
  auto p = dial();
  auto target = at(server_behind.port);
  for (char c : "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n")
    ASSERT_TRUE(p.send({&c, 1}));
  EXPECT_EQ(p.until("\r\n\r\n"), "HTTP/1.1 200 Connection established\r\n\r\n");
}

TEST_F(relay_connect, what_no_mapping_allows_is_refused_with_the_reason_and_the_revision) {
  start(rules{3}.snapshot());
  auto p = dial();
  auto head = connect(p, at(server_behind.port));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 403 Forbidden\r\n")) << head;
  EXPECT_NE(head.find("X-MarchProxy-Reason: implicit_deny\r\n"), std::string::npos);
  auto body = body_of(p, head);
  EXPECT_EQ(body["error"]["code"], "denied");
  EXPECT_EQ(body["mapping"], nullptr);
  EXPECT_EQ(body["reason"], "implicit_deny");
  EXPECT_EQ(body["revision"], 3);
  auto r = record();
  EXPECT_EQ(body["request_id"], request_text(r.request));
  EXPECT_FALSE(r.allowed);
  EXPECT_EQ(r.revision, revision{3});
  EXPECT_EQ(server_behind.connections, 0);
  // The connection may be used again.
  EXPECT_TRUE(connect(p, at(server_behind.port)).starts_with("HTTP/1.1 403"));
}

TEST_F(relay_connect, a_deny_names_its_mapping) {
  auto set = allow_loopback();
  set.mapping(model::select_all{}, model::select_all{}, model::mapping_action::deny).priority = 1;
  start(set.snapshot());
  auto p = dial();
  auto body = body_of(p, connect(p, at(server_behind.port)));
  EXPECT_EQ(body["reason"], "mapping_deny");
  EXPECT_EQ(body["mapping"], (nlohmann::json{{"id", 2}, {"name", "mapping 2"}}));
  EXPECT_EQ(server->totals().mappings[mapping_id{2}], (mapping_count{0, 1}));
}

TEST_F(relay_connect, before_the_first_revision_everything_is_refused) {
  start(nullptr);
  auto p = dial();
  EXPECT_TRUE(connect(p, at(server_behind.port)).starts_with("HTTP/1.1 503"));
  EXPECT_EQ(record().why, reason::no_policy);
}

TEST_F(relay_connect, the_source_decides_too) {
  start(allow_loopback().snapshot());
  auto p = dial("127.0.0.2");
  EXPECT_TRUE(connect(p, at(server_behind.port)).starts_with("HTTP/1.1 403"));
}

TEST_F(relay_connect, a_name_is_judged_then_resolved_then_judged_again) {
  rules set;
  auto client = set.service("client", "127.0.0.1/32");
  set.mapping(client, set.service("origin", "origin.test")).allow_private = true;
  set.mapping(client, set.service("private", "private.test"));
  set.mapping(client, set.service("denied", "denied.test"), model::mapping_action::deny);
  set.mapping(client, set.service("missing", "missing.test"));
  start(set.snapshot());
  auto ask = [&](const std::string& host) {
    auto p = dial();
    auto head = connect(p, at(server_behind.port, host));
    return head.substr(9, 3) + " " + body_of(p, head).value("reason", "");
  };
  EXPECT_EQ(ask("Origin.Test"), "200 ");
  EXPECT_EQ(ask("private.test"), "403 private_destination");
  EXPECT_EQ(ask("denied.test"), "403 mapping_deny");
  EXPECT_EQ(ask("missing.test"), "502 resolve_failed");
  EXPECT_EQ(ask("unknown.test"), "403 implicit_deny");
  ASSERT_TRUE(eventually([&] { return records().size() == 5; }));
  for (const auto& r : records())
    if (r.name == "origin.test") {
      EXPECT_EQ(r.address, parse_ip("127.0.0.1"));
    }
}

TEST_F(relay_connect, an_address_rule_allows_a_name_that_leads_there) {
  rules set;
  auto& m =
    set.mapping(set.service("client", "127.0.0.1/32"), set.service("origin", "127.0.0.1/32"));
  m.allow_private = true;
  start(set.snapshot());
  auto p = dial();
  EXPECT_TRUE(connect(p, at(server_behind.port, "origin.test")).starts_with("HTTP/1.1 200"));
}

TEST_F(relay_connect, odd_spellings_of_hosts_are_bad_requests) {
  start(allow_loopback().snapshot());
  for (auto host : {"0x7f.1", "2130706433", "127.1", "017700000001", "0177.0.0.1", "127.0.0.1.",
                    "[::ffff:127.0.0.1", "user@127.0.0.1", "127.0.0.1%00"}) {
    auto p = dial();
    EXPECT_TRUE(connect(p, at(server_behind.port, host)).starts_with("HTTP/1.1 400")) << host;
  }
  EXPECT_EQ(server_behind.connections, 0);
}

TEST_F(relay_connect, malformed_heads_are_refused_and_the_connection_closed) {
  start(allow_loopback().snapshot());
  for (auto head : {"CONNECT 127.0.0.1:80 HTTP/1.1\nHost: a\n\n", "\x16\x03\x01",
                    "CONNECT 127.0.0.1:80 HTTP/1.1\r\n\r\n",
                    "CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"}) {
    auto p = dial();
    p.send(head);
    p.shut_down();
    auto answer = p.all();
    EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 400")) << head << " -> " << answer;
  }
  auto p = dial();
  p.send("GET http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x'));
  EXPECT_TRUE(p.all().starts_with("HTTP/1.1 431"));
}

TEST_F(relay_connect, a_refused_connection_is_a_bad_gateway) {
  start(allow_loopback().snapshot());
  auto closed = closed_port();
  auto p = dial();
  auto head = connect(p, at(closed));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 502")) << head;
  EXPECT_EQ(body_of(p, head)["reason"], "connect_failed");
  auto r = record();
  EXPECT_TRUE(r.allowed);
  EXPECT_EQ(r.why, reason::connect_failed);
  EXPECT_EQ(server->totals().upstream_failures, 1U);
}

TEST_F(relay_connect, half_close_goes_both_ways) {
  // Answers only once it has seen the end of the question.
  origin late{[](peer& p) {
    auto question = p.all();
    p.send("you said " + question);
  }};
  start(allow_loopback().snapshot());
  auto p = dial();
  connect(p, at(late.port));
  p.send("hello");
  p.shut_down();
  EXPECT_EQ(p.all(), "you said hello");
  // And the other way round: the origin ends first, the client goes on.
  std::atomic<bool> got{false};
  origin early{[&](peer& o) {
    o.send("bye");
    o.shut_down();
    got = o.all() == "still here";
  }};
  auto q = dial();
  connect(q, at(early.port));
  EXPECT_EQ(q.all(), "bye");
  ASSERT_TRUE(q.send("still here"));
  q.shut_down();
  EXPECT_TRUE(eventually([&] { return got.load(); }));
}

TEST_F(relay_connect, a_reset_becomes_a_reset) {
  std::atomic<int> outcome{0};
  origin waiting{[&](peer& p) {
    char c = 0;
    auto n = recv(p.fd(), &c, 1, 0);
    outcome = n < 0 ? errno : -1;
  }};
  start(allow_loopback().snapshot());
  auto p = dial();
  connect(p, at(waiting.port));
  p.reset();
  EXPECT_TRUE(eventually([&] { return outcome != 0; }));
  EXPECT_EQ(outcome, ECONNRESET);
}

/// `many.test` is 127.0.0.2, where nobody is or answers, then 127.0.0.1, where the origin is.
class relay_to_many : public relay_connect {
protected:
  relay_to_many() {
    std::ofstream{hosts, std::ios::app} << "127.0.0.2 many.test\n127.0.0.1 many.test\n";
    set_.mapping(set_.service("client", "127.0.0.1/32"), set_.service("many", "many.test"))
      .allow_private = true;
  }
  rules set_;
  origin origin_{echo};
};

TEST_F(relay_to_many, an_address_that_refuses_is_followed_by_the_next_at_once) {
  start(set_.snapshot());
  auto p = dial();
  EXPECT_TRUE(connect(p, at(origin_.port, "many.test")).starts_with("HTTP/1.1 200"));
  p.close();
  EXPECT_EQ(record().address, parse_ip("127.0.0.1"));
}

TEST_F(relay_to_many, an_address_that_does_not_answer_is_not_waited_for) {
  // A queue of one that is full: the kernel drops what else wants to connect.
  auto silent =
    net::listen_tcp({*parse_ip("127.0.0.2"), origin_.port}, {.backlog = 0, .reuse_port = false});
  ASSERT_TRUE(silent) << to_string(silent.error());
  std::vector<net::unique_fd> fill;
  for (int i = 0; i < 4; ++i)
    fill.push_back(std::move(*net::connect_tcp({*parse_ip("127.0.0.2"), origin_.port})));
  settings.connect_timeout = 60s;
  start(set_.snapshot());
  auto p = dial();
  EXPECT_TRUE(connect(p, at(origin_.port, "many.test")).starts_with("HTTP/1.1 200"));
  p.send("hello");
  EXPECT_EQ(p.exactly(5), "hello");
  p.close();
  auto r = record();
  EXPECT_EQ(r.address, parse_ip("127.0.0.1"));
  EXPECT_EQ(r.why, reason::mapping_allow);
}

TEST_F(relay_to_many, when_no_address_takes_it_that_is_said_once) {
  start(set_.snapshot());
  auto closed = closed_port();
  auto p = dial();
  EXPECT_TRUE(connect(p, at(closed, "many.test")).starts_with("HTTP/1.1 502"));
  p.close();
  EXPECT_EQ(record().why, reason::connect_failed);
}

} // namespace
} // namespace marchproxy::relay

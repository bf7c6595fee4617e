// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/forward_fixture.test.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;

using relay_forward = forwarding;

TEST_F(relay_forward, a_request_is_rewritten_for_the_origin) {
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send(
    "GET " + url(mirror_origin, "/a?b=c")
    + " HTTP/1.1\r\nHost: elsewhere.test\r\nProxy-Authorization: Basic eDp5\r\nProxy-Connection: "
      "keep-alive\r\n"
      "Connection: X-Drop\r\nX-Drop: 1\r\nTE: trailers\r\nX-Keep: 2\r\nVia: 1.0 before\r\n\r\n");
  auto [head, seen] = answer(p);
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\n")) << head;
  EXPECT_NE(head.find("\r\nVia: 1.1 marchproxy\r\n"), std::string::npos);
  EXPECT_EQ(seen, "GET /a?b=c HTTP/1.1\r\nHost: " + at(mirror_origin.port)
                    + "\r\nX-Keep: 2\r\nVia: 1.0 before\r\nVia: 1.1 marchproxy\r\n\r\n");
}

TEST_F(relay_forward, both_connections_are_kept_and_every_request_is_a_flow) {
  start(allow_loopback().snapshot());
  auto p = dial();
  for (int i = 0; i < 20; ++i) {
    p.send("GET " + url(mirror_origin, "/" + std::to_string(i)) + " HTTP/1.1\r\nHost: x\r\n\r\n");
    auto [head, seen] = answer(p);
    EXPECT_TRUE(seen.starts_with("GET /" + std::to_string(i) + " HTTP/1.1\r\n")) << seen;
  }
  EXPECT_EQ(mirror_origin.connections, 1);
  ASSERT_TRUE(eventually([&] { return records().size() == 20; }));
  for (const auto& r : records()) {
    EXPECT_EQ(r.via, entry::forward);
    EXPECT_EQ(r.mapping, mapping_id{1});
  }
}

TEST_F(relay_forward, pipelined_requests_are_answered_in_order) {
  start(allow_loopback().snapshot());
  auto p = dial();
  std::string all;
  for (int i = 0; i < 5; ++i)
    all += "POST " + url(mirror_origin, "/" + std::to_string(i))
           + " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
  p.send(all);
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(answer(p).second.starts_with("POST /" + std::to_string(i)));
}

TEST_F(relay_forward, bodies_of_both_framings_are_streamed) {
  // A POST of a client that rested goes by a new connection.
  settings.rest_after = std::chrono::seconds{10};
  start(allow_loopback().snapshot());
  auto p = dial();
  std::string big(300'000, '\0');
  for (std::size_t i = 0; i < big.size(); ++i)
    big[i] = static_cast<char>('a' + i * 7 % 23);
  std::string chunked;
  for (std::size_t i = 0; i < big.size(); i += 1000)
    chunked += "3e8;ext=1\r\n" + big.substr(i, 1000) + "\r\n";
  p.send("POST " + url(mirror_origin) + " HTTP/1.1\r\nHost: x\r\nContent-Length: "
         + std::to_string(big.size()) + "\r\n\r\n" + big);
  EXPECT_TRUE(answer(p).second.ends_with(big));
  p.send("POST " + url(mirror_origin) + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
         + chunked + "0\r\nTrailer: dropped\r\n\r\n");
  auto seen = answer(p).second;
  EXPECT_TRUE(seen.ends_with(big));
  EXPECT_NE(seen.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(mirror_origin.connections, 1);
}

TEST_F(relay_forward, answers_of_every_framing_are_streamed) {
  std::string big(200'000, 'x');
  origin framed{[&](peer& p) {
    for (auto head = p.until("\r\n\r\n"); !head.empty(); head = p.until("\r\n\r\n")) {
      if (head.starts_with("GET /chunked "))
        p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n" + big
               + "\r\n0\r\n\r\n");
      else if (head.starts_with("GET /none "))
        p.send("HTTP/1.1 204 No Content\r\n\r\n");
      else if (head.starts_with("HEAD "))
        p.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
      else
        return p.send("HTTP/1.1 200 OK\r\n\r\n" + big), p.shut_down();
    }
  }};
  start(allow_loopback().snapshot());
  auto p = dial();
  auto ask = [&](const std::string& line) { p.send(line + " HTTP/1.1\r\nHost: x\r\n\r\n"); };
  ask("GET " + url(framed, "/chunked"));
  EXPECT_EQ(answer(p).second, big);
  ask("GET " + url(framed, "/none"));
  EXPECT_TRUE(p.until("\r\n\r\n").starts_with("HTTP/1.1 204"));
  ask("HEAD " + url(framed));
  EXPECT_NE(p.until("\r\n\r\n").find("Content-Length: 5"), std::string::npos);
  ask("GET " + url(framed, "/close"));
  auto head = p.until("\r\n\r\n");
  EXPECT_NE(head.find("Connection: close"), std::string::npos);
  EXPECT_EQ(p.all(), big);
}

TEST_F(relay_forward, a_client_of_http_1_0_gets_no_chunks) {
  origin chunked{[](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
  }};
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send("GET " + url(chunked) + " HTTP/1.0\r\n\r\n");
  auto all = p.all();
  EXPECT_TRUE(all.ends_with("\r\n\r\nhello")) << all;
  EXPECT_EQ(all.find("chunked"), std::string::npos);
}

TEST_F(relay_forward, continue_is_passed_through) {
  origin waits{[](peer& p) {
    auto head = p.until("\r\n\r\n");
    EXPECT_NE(head.find("Expect: 100-continue"), std::string::npos);
    p.send("HTTP/1.1 100 Continue\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + p.exactly(4));
  }};
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send("POST " + url(waits)
         + " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_TRUE(p.until("\r\n\r\n").starts_with("HTTP/1.1 100 Continue"));
  p.send("body");
  EXPECT_EQ(answer(p).second, "body");
}

TEST_F(relay_forward, a_kept_connection_that_died_is_replaced) {
  std::atomic<int> served{0};
  origin once{[&](peer& p) {
    p.until("\r\n\r\n");
    ++served;
    p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  }};
  start(allow_loopback().snapshot());
  auto p = dial();
  for (int i = 0; i < 5; ++i) {
    p.send("GET " + url(once) + " HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(answer(p).second, "ok");
  }
  EXPECT_EQ(served, 5);
}

TEST_F(relay_forward, what_the_origin_breaks_is_a_bad_gateway_or_a_cut) {
  origin bad{[](peer& p) {
    auto head = p.until("\r\n\r\n");
    if (head.starts_with("GET /nothing "))
      return;
    if (head.starts_with("GET /smuggle "))
      p.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    else if (head.starts_with("GET /switch "))
      p.send("HTTP/1.1 101 Switching Protocols\r\n\r\n");
    else
      p.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  }};
  start(allow_loopback().snapshot());
  for (auto path : {"/nothing", "/smuggle", "/switch"}) {
    auto p = dial();
    p.send("GET " + url(bad, path) + " HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(p.until("\r\n\r\n").starts_with("HTTP/1.1 502")) << path;
  }
  auto p = dial();
  p.send("GET " + url(bad, "/half") + " HTTP/1.1\r\nHost: x\r\n\r\n");
  auto all = p.all();
  EXPECT_FALSE(all.ends_with("half......"));
  EXPECT_TRUE(eventually([&] { return records().size() == 4; }));
  for (const auto& r : records())
    EXPECT_EQ(r.why, reason::upstream_failed);
}

TEST_F(relay_forward, requests_that_are_not_for_a_proxy_are_refused) {
  start(allow_loopback().snapshot());
  for (auto line : {"GET /", "GET https://127.0.0.1/", "OPTIONS *"}) {
    auto p = dial();
    p.send(line + " HTTP/1.1\r\nHost: x\r\n\r\n"s);
    EXPECT_TRUE(p.all().starts_with("HTTP/1.1 400")) << line;
  }
}

TEST_F(relay_forward, smuggling_is_refused_before_anything_is_sent) {
  start(allow_loopback().snapshot());
  for (auto fields :
       {"Content-Length: 3\r\nTransfer-Encoding: chunked", "Transfer-Encoding: xchunked",
        "Content-Length: 3\r\nContent-Length: 3", "Host: y", "X : y", "X: y\r\n z"}) {
    auto p = dial();
    p.send("POST " + url(mirror_origin) + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n\r\nabc");
    EXPECT_TRUE(p.all().starts_with("HTTP/1.1 400")) << fields;
  }
  EXPECT_EQ(mirror_origin.connections, 0);
  auto p = dial();
  p.send("POST " + url(mirror_origin)
         + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  EXPECT_TRUE(p.all().starts_with("HTTP/1.1 400"));
}

TEST_F(relay_forward, a_body_keeps_its_length_whatever_connection_names) {
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send(
    "POST " + url(mirror_origin)
    + " HTTP/1.1\r\nHost: x\r\nConnection: content-length, host\r\nContent-Length: 003\r\n\r\nabc");
  auto seen = answer(p).second;
  EXPECT_NE(seen.find("\r\nContent-Length: 3\r\n"), std::string::npos) << seen;
  EXPECT_TRUE(seen.ends_with("\r\n\r\nabc")) << seen;
  EXPECT_NE(seen.find("\r\nHost: " + at(mirror_origin.port) + "\r\n"), std::string::npos) << seen;
}

TEST_F(relay_forward, max_forwards_counts_down_and_ends_the_way) {
  start(allow_loopback().snapshot());
  for (auto method : {"TRACE", "OPTIONS", "GET"}) {
    auto p = dial();
    auto ask = [&](const std::string& bound) {
      p.send(method + " "s + url(mirror_origin) + " HTTP/1.1\r\nHost: x\r\nMax-Forwards: " + bound
             + "\r\n\r\n");
      auto [head, seen] = answer(p);
      auto at = seen.find("Max-Forwards: ");
      return head.substr(9, 3) + (at == std::string::npos ? "" : " " + seen.substr(at + 14, 2));
    };
    auto counts = method != "GET"s;
    EXPECT_EQ(ask("9"), counts ? "200 8\r" : "200 9\r") << method;
    EXPECT_EQ(ask("x1"), "200 x1") << method;
    EXPECT_EQ(ask("0"), counts ? "501" : "200 0\r") << method;
  }
}

TEST_F(relay_forward, a_denied_request_keeps_the_connection_when_it_had_no_body) {
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send("GET http://192.0.2.1/ HTTP/1.1\r\nHost: x\r\n\r\n");
  auto [head, body] = answer(p);
  EXPECT_TRUE(head.starts_with("HTTP/1.1 403")) << head;
  p.send("GET " + url(mirror_origin) + " HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(answer(p).first.starts_with("HTTP/1.1 200"));
  p.send("POST http://192.0.2.1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_TRUE(p.all().starts_with("HTTP/1.1 403"));
}

TEST_F(relay_forward, each_request_of_a_kept_connection_is_judged_by_the_revision_of_its_time) {
  start(allow_loopback(1).snapshot());
  auto p = dial();
  auto ask = [&] {
    p.send("GET " + url(mirror_origin) + " HTTP/1.1\r\nHost: x\r\n\r\n");
    return answer(p).first.substr(9, 3);
  };
  EXPECT_EQ(ask(), "200");
  publish(rules{2}.snapshot());
  EXPECT_EQ(ask(), "403");
  publish(allow_loopback(3).snapshot());
  EXPECT_EQ(ask(), "200");
}

} // namespace
} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
// What belongs to a request or its answer besides head and body: interim answers, trailers, time.
#include "nodes/relay/exchange.hpp"
#include "nodes/relay/forward_fixture.test.hpp"

#include <netinet/tcp.h>
#include <poll.h>

namespace marchproxy::relay {
namespace {

using namespace testing;

const auto chunked = "Transfer-Encoding: chunked\r\n"s;

class relay_http_body : public forwarding {
protected:
  std::string post(const origin& o, const std::string& fields) {
    return "POST " + url(o) + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n";
  }
  std::string get(const origin& o, const std::string& fields = "") {
    return "GET " + url(o) + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n";
  }
  /// Up to the end of a chunked body that has trailers.
  static std::string with_trailers(peer& p) {
    auto body = p.until("\r\n0\r\n");
    return body + p.until("\r\n\r\n");
  }
  /// True when nothing comes for that long.
  static bool is_silent(const peer& p, std::chrono::milliseconds that_long) {
    pollfd one{p.fd(), POLLIN, 0};
    return poll(&one, 1, static_cast<int>(that_long.count())) == 0;
  }
  /// An origin that answers each request with just these bytes.
  static origin saying(const std::string& text) {
    return origin{[text](peer& p) {
      while (!p.until("\r\n\r\n").empty())
        p.send(text);
    }};
  }
};

TEST_F(relay_http_body, interim_answers_are_passed_on_in_order_up_to_a_bound) {
  auto hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"s;
  for (unsigned count : {exchange::max_interim, exchange::max_interim + 1}) {
    std::string text;
    for (unsigned i = 0; i < count; ++i)
      text += hints;
    auto hinting = saying(text + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    start(allow_loopback().snapshot());
    auto p = dial();
    p.send(get(hinting, "Connection: close\r\n"));
    auto all = p.all();
    auto fits = count <= exchange::max_interim;
    EXPECT_EQ(all.find("HTTP/1.1 200 OK") != std::string::npos, fits) << all;
    if (fits) {
      EXPECT_TRUE(all.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nVia: "));
    }
  }
}

TEST_F(relay_http_body, a_refusal_of_the_origin_comes_before_the_body_and_ends_the_connection) {
  origin refuses{[](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    p.receive();
  }};
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send(post(refuses, "Expect: 100-continue\r\nContent-Length: 4\r\n"));
  auto all = p.all();
  EXPECT_TRUE(all.starts_with("HTTP/1.1 417")) << all;
  EXPECT_NE(all.find("\r\nConnection: close\r\n"), std::string::npos);
}

TEST_F(relay_http_body, behind_an_interim_answer_a_refusal_of_ours_is_still_possible) {
  settings.body_timeout = 100ms;
  start(allow_loopback().snapshot());
  origin goes_on{[](peer& p) {
    auto head = p.until("\r\n\r\n");
    p.send("HTTP/1.1 100 Continue\r\n\r\n");
    if (head.starts_with("POST "))
      p.all();
  }};
  auto p = dial();
  p.send(post(goes_on, "Expect: 100-continue\r\nContent-Length: 4\r\n"));
  EXPECT_TRUE(p.until("\r\n\r\n").starts_with("HTTP/1.1 100 "));
  EXPECT_TRUE(p.until("\r\n\r\n").starts_with("HTTP/1.1 408 "));
  auto q = dial();
  q.send(get(goes_on, "Connection: close\r\n"));
  EXPECT_NE(q.all().find("HTTP/1.1 502 "), std::string::npos);
}

TEST_F(relay_http_body, trailers_of_a_request_go_on_when_they_are_announced_and_fit) {
  start(allow_loopback().snapshot());
  origin raw{[](peer& p) {
    auto text = p.until("\r\n\r\n");
    text += with_trailers(p);
    p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text);
  }};
  auto p = dial();
  p.send(post(raw, chunked + "Trailer: X-Sum, Content-Length\r\n")
         + "3\r\nabc\r\n0\r\nX-Sum:1\r\nContent-Length: 9\r\nX-Other: 2\r\n\r\n");
  auto seen = answer(p).second;
  EXPECT_NE(seen.find("\r\nTrailer: X-Sum\r\n"), std::string::npos) << seen;
  EXPECT_TRUE(seen.ends_with("\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")) << seen;
}

TEST_F(relay_http_body, trailers_of_an_answer_go_on_to_a_client_that_takes_them) {
  auto trailing = saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Host\r\n"
                         "\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nHost: y\r\nX-Other: 2\r\n\r\n");
  start(allow_loopback().snapshot());
  auto p = dial();
  for (int i = 0; i < 3; ++i) {
    p.send(get(trailing, "TE: trailers\r\nConnection: TE\r\n"));
    auto head = p.until("\r\n\r\n");
    EXPECT_NE(head.find("\r\nTrailer: X-Sum\r\n"), std::string::npos) << head;
    EXPECT_EQ(with_trailers(p), "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");
    p.send(get(trailing));
    head = p.until("\r\n\r\n");
    EXPECT_EQ(head.find("Trailer"), std::string::npos) << head;
    EXPECT_EQ(p.until("\r\n0\r\n\r\n"), "3\r\nabc\r\n0\r\n\r\n");
  }
  EXPECT_EQ(trailing.connections, 1);
}

TEST_F(relay_http_body, that_a_client_takes_trailers_is_said_on_when_it_is_said_of_this_hop) {
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send(get(mirror_origin, "TE: gzip, trailers\r\nConnection: TE\r\n"));
  auto seen = answer(p).second;
  EXPECT_NE(seen.find("\r\nTE: trailers\r\nConnection: TE\r\n"), std::string::npos) << seen;
}

TEST_F(relay_http_body, trailers_split_anywhere_are_the_same) {
  start(allow_loopback().snapshot());
  std::string body = "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n";
  origin raw{[](peer& p) {
    while (!p.until("\r\n\r\n").empty()) {
      auto text = with_trailers(p);
      p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n"
             + text);
    }
  }};
  auto p = dial();
  int yes = 1;
  setsockopt(p.fd(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  for (std::size_t cut = 1; cut < body.size(); ++cut) {
    p.send(post(raw, chunked + "Trailer: X-Sum\r\n") + body.substr(0, cut));
    p.send(body.substr(cut));
    EXPECT_TRUE(answer(p).second.ends_with("\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n")) << cut;
  }
}

TEST_F(relay_http_body, malformed_trailers_are_a_bad_request) {
  start(allow_loopback().snapshot());
  for (auto lines : {" X: y\r\n", "X : y\r\n", "X\r\n", "X: y\n"}) {
    auto p = dial();
    p.send(post(mirror_origin, chunked) + "0\r\n" + lines + "\r\n");
    EXPECT_TRUE(p.all().starts_with("HTTP/1.1 400")) << lines;
  }
}

TEST_F(relay_http_body, answers_without_a_body_have_no_length_that_promises_one) {
  start(allow_loopback().snapshot());
  auto no_content = saying("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
  auto not_modified = saying("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
  auto interim = saying("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n"
                        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  auto p = dial();
  for (int i = 0; i < 2; ++i) {
    p.send(get(no_content));
    EXPECT_EQ(p.until("\r\n\r\n").find("Content-Length"), std::string::npos);
    p.send(get(not_modified));
    EXPECT_NE(p.until("\r\n\r\n").find("Content-Length: 5"), std::string::npos);
    p.send(get(interim));
    EXPECT_EQ(p.until("\r\n\r\n").find("Content-Length"), std::string::npos);
    EXPECT_EQ(answer(p).second, "ok");
  }
}

TEST_F(relay_http_body, a_body_that_does_not_come_is_answered_408) {
  settings.body_timeout = 100ms;
  start(allow_loopback().snapshot());
  for (auto fields : {"Content-Length: 10\r\n"s, chunked}) {
    auto p = dial();
    p.send(post(mirror_origin, fields) + (fields == chunked ? "4\r\nabcd\r\n" : "abcd"));
    auto all = p.all();
    EXPECT_TRUE(all.starts_with("HTTP/1.1 408")) << all;
    EXPECT_NE(all.find("\r\nConnection: close\r\n"), std::string::npos);
  }
}

TEST_F(relay_http_body, a_body_that_comes_slowly_is_waited_for) {
  settings.body_timeout = 400ms;
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send(post(mirror_origin, "Content-Length: 8\r\n"));
  // Each byte well within the limit, all together beyond it.
  for (int sent = 0; sent < 8; ++sent) {
    EXPECT_TRUE(is_silent(p, 100ms));
    p.send("x");
  }
  EXPECT_TRUE(answer(p).second.ends_with("\r\n\r\nxxxxxxxx"));
}

TEST_F(relay_http_body, an_origin_that_is_slow_to_say_continue_is_not_the_client_s_fault) {
  settings.body_timeout = 50ms;
  settings.idle_timeout = 400ms;
  origin silent{[](peer& p) { p.all(); }};
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send(post(silent, "Expect: 100-continue\r\nContent-Length: 4\r\n"));
  EXPECT_TRUE(p.all().starts_with("HTTP/1.1 504"));
}

TEST_F(relay_http_body, who_the_client_is_is_said_as_configured) {
  struct row {
    client_fields which;
    std::string said;
  };
  auto sent = "Forwarded: for=9.9.9.9\r\nX-Forwarded-For: 9.9.9.9\r\n"s;
  for (const auto& [which, said] : std::initializer_list<row>{
         {client_fields::off, sent},
         {client_fields::x_forwarded_for, "X-Forwarded-For: 127.0.0.1\r\n"},
         {client_fields::forwarded, "Forwarded: for=127.0.0.1\r\n"},
         {client_fields::both, "X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n"},
       }) {
    settings.forwarded = which;
    start(allow_loopback().snapshot());
    auto p = dial();
    p.send(get(mirror_origin, sent));
    EXPECT_EQ(answer(p).second, "GET / HTTP/1.1\r\nHost: " + at(mirror_origin.port) + "\r\n" + said
                                  + "Via: 1.1 marchproxy\r\n\r\n");
  }
}

} // namespace
} // namespace marchproxy::relay

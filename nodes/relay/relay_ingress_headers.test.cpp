// SPDX-License-Identifier: AGPL-3.0-only
// Routes that ask for headers of requests, and that change those of answers (POL-5).
#include "nodes/relay/ingress_fixture.test.hpp"

namespace marchproxy::relay::testing {
namespace {

TEST_F(ingress, headers_of_the_request_choose_among_routes_of_one_place) {
  backend a{"a"};
  backend b{"b"};
  r.route(port, {{add("a", a.port), 0, 1}});
  r.route(port, {{add("b", b.port), 0, 1}}).headers = {
    {"cookie", model::header_test::prefix, "beta="}, {"x-skip", model::header_test::absent, ""}};
  go();
  const auto who_by = [&](const char* more) { return body(get("x", "/", more)).substr(0, 1); };
  EXPECT_EQ(who_by(""), "a");
  EXPECT_EQ(who_by("Cookie: beta=1\r\n"), "b");
  EXPECT_EQ(who_by("Cookie: beta=1\r\nX-Skip: 1\r\n"), "a");
  EXPECT_EQ(who_by("Cookie: alpha=1; beta=1\r\n"), "a");
}

TEST_F(ingress, one_connection_s_requests_are_each_led_by_their_own_headers) {
  backend a{"a"};
  backend b{"b"};
  r.route(port, {{add("a", a.port), 0, 1}});
  r.route(port, {{add("b", b.port), 0, 1}}).headers = {
    {"x-env", model::header_test::value, "beta"}};
  go();
  auto p = peer::to(port);
  for (const auto& [more, wanted] :
       {std::pair{"X-Env: beta\r\n", "b"}, std::pair{"", "a"}, std::pair{"X-Env: beta\r\n", "b"}}) {
    p.send("GET / HTTP/1.1\r\nHost: x\r\n" + std::string{more} + "\r\n");
    const auto head = p.until("\r\n\r\n");
    const auto length = std::stoul(head.substr(head.find("Content-Length: ") + 16));
    EXPECT_EQ(p.exactly(length).substr(0, 1), wanted);
  }
}

TEST_F(ingress, headers_of_the_final_answer_are_set_and_removed) {
  origin tells{[](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 103 Early Hints\r\nServer: secret/1\r\n\r\n"
           "HTTP/1.1 200 OK\r\nSERVER: secret/1\r\nX-Frame-Options: ALLOW\r\nX-Kept: yes\r\n"
           "Trailer: X-Sum, X-Inner\r\nTransfer-Encoding: chunked\r\n\r\n"
           "2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Inner: secret\r\n\r\n");
  }};
  r.route(port, {{add("tells", tells.port), 0, 1}}).response_headers = {
    {"server", std::nullopt}, {"x-frame-options", "DENY"}, {"x-inner", std::nullopt}};
  go();
  auto p = peer::to(port);
  p.send("GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n");
  const auto hints = p.until("\r\n\r\n");
  EXPECT_EQ(status(hints), "HTTP/1.1 103");
  EXPECT_NE(hints.find("Server: secret/1"), std::string::npos) << "it is not the final one";
  const auto head = p.until("\r\n\r\n");
  EXPECT_EQ(status(head), "HTTP/1.1 200");
  EXPECT_EQ(head.find("secret"), std::string::npos) << head;
  EXPECT_EQ(head.find("ALLOW"), std::string::npos) << head;
  EXPECT_NE(head.find("x-frame-options: DENY\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find("X-Kept: yes\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find("Trailer: X-Sum\r\n"), std::string::npos) << head;
  const auto rest = p.all();
  EXPECT_NE(rest.find("X-Sum: 1"), std::string::npos) << rest;
  EXPECT_EQ(rest.find("X-Inner"), std::string::npos) << "nor does it come behind the body";
}

TEST_F(ingress, answers_of_other_routes_on_the_same_connection_are_left_alone) {
  backend a{"a"};
  const auto to_a = add("a", a.port);
  auto& changed = r.route(port, {{to_a, 0, 1}});
  changed.path = "/changed";
  changed.response_headers = {{"x-set", "1"}};
  r.route(port, {{to_a, 0, 1}});
  go();
  auto p = peer::to(port);
  for (const auto& [path, set] : {std::pair{"/changed", true}, std::pair{"/", false}}) {
    p.send("GET " + std::string{path} + " HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto head = p.until("\r\n\r\n");
    EXPECT_EQ(head.find("x-set: 1\r\n") != std::string::npos, set) << head;
    p.exactly(std::stoul(head.substr(head.find("Content-Length: ") + 16)));
  }
}

} // namespace
} // namespace marchproxy::relay::testing

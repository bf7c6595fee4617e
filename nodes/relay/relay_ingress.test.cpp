// SPDX-License-Identifier: AGPL-3.0-only
// Requests and connections that come in, over real sockets (POL-5).
#include "nodes/relay/ingress_fixture.test.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::relay::testing {
namespace {

TEST_F(ingress, host_and_path_choose_and_the_request_is_rewritten) {
  backend a{"a"};
  backend b{"b"};
  const auto to_a = add("a", a.port);
  const auto to_b = add("b", b.port);
  r.route(port, {{to_a, 0, 1}}).host = "a.test";
  auto& api = r.route(port, {{to_b, 0, 1}});
  api.host = "a.test";
  api.path = "/api";
  api.strip_prefix = true;
  api.add_prefix = "/v2";
  api.request_headers = {{"x-drop", std::nullopt}, {"x-env", "prod"}};
  settings.forwarded = client_fields::x_forwarded_for;
  go();
  EXPECT_EQ(who("a.test", "/x?y"), "a");
  const auto answer = body(
    get("A.TEST:80", "/api/x?y=1", "X-Drop: 1\r\nX-Env: mine\r\nX-Forwarded-For: 1.2.3.4\r\n"));
  EXPECT_EQ(answer.substr(0, 27), "b\nGET /v2/x?y=1 HTTP/1.1\r\nH") << answer;
  EXPECT_NE(answer.find("Host: a.test:80\r\n"), std::string::npos) << answer;
  EXPECT_NE(answer.find("x-env: prod\r\n"), std::string::npos) << answer;
  EXPECT_NE(answer.find("X-Forwarded-For: 127.0.0.1\r\n"), std::string::npos) << answer;
  for (const auto* gone : {"X-Drop", "mine", "1.2.3.4"})
    EXPECT_EQ(answer.find(gone), std::string::npos) << answer;
  EXPECT_EQ(status(get("b.test")), "HTTP/1.1 404");
  EXPECT_EQ(status(get("a.test", "/api/../x")), "HTTP/1.1 400");
  EXPECT_EQ(status(get("a.test", "/api/%2E%2e/x")), "HTTP/1.1 400");
}

TEST_F(ingress, a_record_says_what_was_asked_and_which_backend_was_judged) {
  backend a{"a"};
  r.route(port, {{add("a", a.port), 0, 1}}).host = "a.test";
  go();
  EXPECT_EQ(who("a.test"), "a");
  const auto told = record();
  EXPECT_EQ(told.via, entry::ingress);
  EXPECT_EQ(told.asked, "a.test:" + std::to_string(port));
  EXPECT_EQ(told.address, parse_ip("127.0.0.1"));
  EXPECT_EQ(told.port, a.port);
  EXPECT_EQ(told.mapping, mapping_id{1});
  EXPECT_TRUE(told.allowed);
  EXPECT_EQ(told.why, reason::mapping_allow);
  EXPECT_GT(told.bytes_down, 0U);
}

TEST_F(ingress, nobody_reaches_a_backend_that_no_mapping_allows) {
  backend a{"a"};
  r.route(port, {{r.service("a", "127.0.0.1", {}, a.port), 0, 1}});
  go();
  const auto answer = get("a.test");
  EXPECT_EQ(status(answer), "HTTP/1.1 403");
  EXPECT_EQ(nlohmann::json::parse(body(answer))["reason"], "implicit_deny");
  EXPECT_EQ(a.connections, 0);
  EXPECT_EQ(server->totals().denied, 1U);
}

TEST_F(ingress, a_backend_that_this_client_may_not_reach_is_passed_over) {
  backend a{"a"};
  backend b{"b"};
  r.route(port, {{r.service("a", "127.0.0.1", {}, a.port), 0, 1}, {add("b", b.port), 0, 1}})
    .retries = 0;
  r.mapping(model::select_all{}, service_id{1}, model::mapping_action::deny).ports =
    model::port_set{{{a.port, a.port}}};
  go();
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(who("x"), "b");
  EXPECT_EQ(a.connections, 0);
}

TEST_F(ingress, backends_take_turns_and_connections_to_them_are_shared) {
  backend a{"a"};
  backend b{"b"};
  r.route(port, {{add("a", a.port), 0, 1}, {add("b", b.port), 0, 1}});
  go();
  std::string order;
  for (int i = 0; i < 20; ++i)
    order += who("x");
  EXPECT_EQ(order, "abababababababababab");
  EXPECT_EQ(a.connections, 1) << "each client came by itself, the connection stayed";
  EXPECT_EQ(b.connections, 1);
}

TEST_F(ingress, one_kept_connection_carries_requests_to_several_backends) {
  backend a{"a"};
  backend b{"b"};
  r.route(port, {{add("a", a.port), 0, 1}}).host = "a.test";
  r.route(port, {{add("b", b.port), 0, 1}}).host = "b.test";
  go();
  auto p = peer::to(port);
  // Pipelined: the answers come in the order asked.
  p.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: b.test\r\n\r\n"
         "GET / HTTP/1.1\r\nHost: c.test\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\nConnection: "
         "close\r\n\r\n");
  const auto all = p.all();
  std::string seen;
  for (std::size_t at = 0; (at = all.find("HTTP/1.1 ", at)) != std::string::npos; at += 9)
    if (all.compare(at + 12, 1, " ") == 0)
      seen += all.substr(at + 9, 3) + " ";
  EXPECT_EQ(seen, "200 200 404 200 ") << all;
}

TEST_F(ingress, a_dead_backend_is_made_up_for_and_left_out) {
  backend b{"b"};
  const auto dead = closed_port();
  r.route(port, {{add("dead", dead), 0, 1}, {add("b", b.port), 0, 1}});
  go();
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(who("x"), "b");
  const auto out =
    backends.at(service_id{1}, *wire::parse_host_port("127.0.0.1:" + std::to_string(dead)));
  EXPECT_EQ(out->ejections(), 1U);
  EXPECT_FALSE(out->usable(routing::clock::now()));
  EXPECT_EQ(out->active(), 0U);
  EXPECT_EQ(server->totals().reasons[static_cast<std::size_t>(reason::connect_failed)], 0U)
    << "no request failed";
}

TEST_F(ingress, without_retries_or_others_the_client_hears_why) {
  const auto one = add("one", closed_port());
  r.route(port, {{one, 0, 1}}).host = "one.test";
  auto& none = r.route(port, {{one, 0, 1}, {one, free_port(), 1}});
  none.host = "none.test";
  none.retries = 0;
  go();
  for (const auto* host : {"one.test", "none.test"}) {
    const auto answer = get(host);
    EXPECT_EQ(status(answer), "HTTP/1.1 502") << answer;
    EXPECT_EQ(nlohmann::json::parse(body(answer))["reason"], "connect_failed");
  }
}

TEST_F(ingress, a_backend_that_closes_without_an_answer_is_not_asked_twice_for_a_post) {
  backend b{"b"};
  origin rude{[](peer& p) { p.until("\r\n\r\n"); }};
  r.route(port, {{add("rude", rude.port), 0, 1}, {add("b", b.port), 0, 1}});
  go();
  EXPECT_EQ(who("x"), "b") << "a GET is safe to repeat";
  EXPECT_EQ(who("x"), "b");
  auto p = peer::to(port);
  p.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
  EXPECT_EQ(status(p.all()), "HTTP/1.1 502") << "a POST may have done its work already";
}

TEST_F(ingress, a_kept_connection_that_its_backend_closed_is_not_used) {
  std::atomic<int> served{0};
  origin once{[&](peer& p) {
    p.until("\r\n\r\n");
    ++served;
    p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  }}; // and closes, though it did not say so
  r.route(port, {{add("once", once.port), 0, 1}});
  go();
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(body(get("x")), "ok");
  EXPECT_EQ(served, 20);
}

TEST_F(ingress, bodies_go_through_in_both_framings) {
  origin tells{[](peer& p) {
    auto head = p.until("\r\n\r\n");
    std::string got =
      head.find("chunked") != std::string::npos ? p.until("0\r\n\r\n") : p.exactly(5);
    p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    EXPECT_NE(got.find("hello"), std::string::npos) << got;
  }};
  r.route(port, {{add("tells", tells.port), 0, 1}});
  go();
  for (const auto* request : {"Content-Length: 5\r\n\r\nhello",
                              "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"}) {
    auto p = peer::to(port);
    p.send("POST /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + std::string{request});
    const auto answer = p.all();
    EXPECT_EQ(status(answer), "HTTP/1.1 200") << answer;
    EXPECT_NE(answer.find("abc"), std::string::npos) << answer;
  }
}

TEST_F(ingress, a_redirect_is_answered_here) {
  auto& old = r.route(port, {});
  old.redirect = model::redirect{301, "https://new.test{path}"};
  go();
  const auto answer = get("old.test", "/a?b=c");
  EXPECT_EQ(status(answer), "HTTP/1.1 301");
  EXPECT_NE(answer.find("Location: https://new.test/a?b=c\r\n"), std::string::npos) << answer;
  EXPECT_EQ(record().why, reason::redirected);
}

TEST_F(ingress, credentials_are_those_of_the_origin_s_field_and_their_lack_is_401) {
  backend a{"a"};
  const auto client = r.service("client", "127.0.0.0/8");
  r.mapping(client, r.service("a", "127.0.0.1", {}, a.port)).auth_required = true;
  r.credential(
    client, "k1", "",
    "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0"); // sha256 of "token"
  r.route(port, {{service_id{2}, 0, 1}});
  go();
  const auto answer = get("x");
  EXPECT_EQ(status(answer), "HTTP/1.1 401") << answer;
  EXPECT_NE(answer.find("WWW-Authenticate: "), std::string::npos) << answer;
  EXPECT_EQ(status(get("x", "/", "Authorization: Bearer wrong\r\n")), "HTTP/1.1 401");
  EXPECT_EQ(status(get("x", "/", "Authorization: Bearer token\r\n")), "HTTP/1.1 200");
}

TEST_F(ingress, websocket_goes_through_and_counts_as_under_way) {
  origin ws{[](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    echo(p);
  }};
  r.route(port, {{add("ws", ws.port), 0, 1}});
  go();
  auto p = peer::to(port);
  p.send("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n");
  EXPECT_EQ(p.until("\r\n\r\n").substr(0, 12), "HTTP/1.1 101");
  p.send("frames");
  EXPECT_EQ(p.exactly(6), "frames");
  const auto at =
    backends.at(service_id{1}, *wire::parse_host_port("127.0.0.1:" + std::to_string(ws.port)));
  EXPECT_EQ(at->active(), 1U);
  p.close();
  EXPECT_TRUE(eventually([&] { return at->active() == 0; }));
}

TEST_F(ingress, a_tcp_route_has_its_port_and_passes_bytes_on) {
  origin echoes{echo};
  auto& tcp =
    r.route(port, {{add("dead", closed_port()), 0, 1}, {add("echoes", echoes.port), 0, 1}});
  tcp.protocol = model::route_protocol::tcp;
  go();
  for (int i = 0; i < 5; ++i) {
    auto p = peer::to(port);
    p.send("\x16\x03 not HTTP");
    EXPECT_EQ(p.exactly(11), "\x16\x03 not HTTP");
    p.shut_down();
    EXPECT_EQ(p.all(), "");
  }
  ASSERT_TRUE(eventually([&] { return records().size() == 5; }));
  for (const auto& one : records()) {
    EXPECT_EQ(one.via, entry::ingress);
    EXPECT_EQ(one.port, echoes.port);
    EXPECT_EQ(one.why, reason::mapping_allow);
  }
}

TEST_F(ingress, a_tcp_route_without_a_mapping_is_closed) {
  origin echoes{echo};
  r.route(port, {{r.service("echoes", "127.0.0.1", {}, echoes.port), 0, 1}}).protocol =
    model::route_protocol::tcp;
  go();
  auto p = peer::to(port);
  EXPECT_EQ(p.all(), "");
  EXPECT_EQ(echoes.connections, 0);
  EXPECT_EQ(record().why, reason::implicit_deny);
}

TEST_F(ingress, listeners_follow_the_revision_and_kept_clients_go_on) {
  backend a{"a"};
  backend b{"b"};
  const auto to_a = add("a", a.port);
  const auto to_b = add("b", b.port);
  r.route(port, {{to_a, 0, 1}});
  go();
  auto kept = peer::to(port);
  const auto ask = [&] {
    kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto head = kept.until("\r\n\r\n");
    const auto length = head.find("Content-Length: ");
    return kept.exactly(std::stoul(head.substr(length + 16))).substr(0, 1);
  };
  EXPECT_EQ(ask(), "a");
  rules second{2};
  second.mapping(model::select_all{}, second.service("a", "127.0.0.1", {}, a.port));
  second.mapping(model::select_all{}, second.service("b", "127.0.0.1", {}, b.port));
  second.route(port, {{to_b, 0, 1}});
  const auto other = free_port();
  second.route(other, {{to_a, 0, 1}});
  publish(second.snapshot(&backends));
  EXPECT_EQ(ask(), "b");
  port = other;
  EXPECT_EQ(who("x"), "a");
  rules third{3};
  publish(third.snapshot(&backends));
  kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(kept.until("\r\n\r\n").substr(0, 12), "HTTP/1.1 404")
    << "its port has no route any more";
}

TEST_F(ingress, the_proxy_header_of_a_load_balancer_says_who_the_client_is) {
  backend a{"a"};
  const auto client = r.service("client", "192.0.2.7/32");
  r.mapping(client, r.service("a", "127.0.0.1", {}, a.port));
  r.route(port, {{service_id{2}, 0, 1}});
  settings.proxy_protocol_from = {*parse_prefix("127.0.0.1/32")};
  go();
  for (const auto& [source, wanted] :
       {std::pair{"192.0.2.7", "HTTP/1.1 200"}, std::pair{"192.0.2.8", "HTTP/1.1 403"}}) {
    auto p = peer::to(port);
    p.send("PROXY TCP4 " + std::string{source}
           + " 192.0.2.1 1234 80\r\n"
             "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(status(p.all()), wanted) << source;
  }
}

TEST_F(ingress, a_backend_that_says_it_is_ill_gets_nothing_until_it_is_well) {
  std::atomic<bool> well{true};
  std::atomic<int> asked{0};
  origin a{[&](peer& p) {
    const auto head = p.until("\r\n\r\n");
    if (head.starts_with("GET /healthz ")) {
      ++asked;
      p.send(well ? "HTTP/1.1 204 No Content\r\n\r\n" : "HTTP/1.1 500 Ill\r\n\r\n");
    } else {
      p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\na\n");
    }
  }};
  backend b{"b"};
  const auto to_a = add("a", a.port);
  r.at(to_a).health = {true, "/healthz", 1s, 1, 2};
  r.route(port, {{to_a, 0, 1}, {add("b", b.port), 0, 1}});
  go();
  const auto at = backends.at(to_a, *wire::parse_host_port("127.0.0.1:" + std::to_string(a.port)));
  EXPECT_TRUE(eventually([&] { return asked >= 1; }));
  std::string order = who("x");
  order += who("x");
  EXPECT_EQ(order, "ab");
  well = false;
  const auto before = asked.load();
  EXPECT_TRUE(eventually([&] { return !at->up(); }));
  EXPECT_GE(asked - before, 2) << "not after one bad answer";
  EXPECT_EQ(who("x") + who("x") + who("x"), "bbb");
  well = true;
  EXPECT_TRUE(eventually([&] { return at->up(); }));
  EXPECT_NE((who("x") + who("x")).find('a'), std::string::npos);
}

TEST_F(ingress, a_dead_backend_is_found_before_a_client_comes_and_forgotten_with_its_check) {
  backend b{"b"};
  const auto dead = add("dead", closed_port());
  const auto at_port = *model::only_port(r.at(dead).ports);
  r.at(dead).health = {true, "/", 1s, 2, 1};
  auto& tcp = r.route(port, {{dead, 0, 1}, {add("b", b.port), 0, 1}});
  tcp.protocol = model::route_protocol::tcp;
  go();
  const auto at = backends.at(dead, *wire::parse_host_port("127.0.0.1:" + std::to_string(at_port)));
  EXPECT_TRUE(eventually([&] { return !at->up(); }));
  EXPECT_EQ(at->ejections(), 0U);
  r.at(dead).health.enabled = false;
  publish(r.snapshot(&backends));
  EXPECT_TRUE(eventually([&] { return at->up(); }));
}

TEST_F(ingress, a_client_that_rests_goes_on_and_is_closed_in_time) {
  backend a{"a"};
  r.route(port, {{add("a", a.port), 0, 1}});
  settings.rest_after = 5ms;
  settings.keep_alive_timeout = 1500ms;
  go();
  auto p = peer::to(port);
  for (int i = 0; i < 3; ++i) {
    p.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto head = p.until("\r\n\r\n");
    EXPECT_EQ(status(head), "HTTP/1.1 200");
    p.exactly(std::stoul(head.substr(head.find("Content-Length: ") + 16)));
    EXPECT_TRUE(eventually([&] { return server->totals().resting == 1; }));
  }
  // Two halves of a head, with a rest between the last answer and the first half.
  p.send("GET / HTTP/1.1\r\nHo");
  EXPECT_TRUE(eventually([&] { return server->totals().resting == 0; })) << "woken by half a head";
  p.send("st: x\r\n\r\n");
  EXPECT_EQ(status(p.until("\r\n\r\n")), "HTTP/1.1 200");
  p.some();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(p.all(), "");
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 1s) << "not before its time";
  EXPECT_TRUE(eventually([&] { return server->totals().open == 0; }));
}

TEST_F(ingress, a_client_that_rests_is_let_go_when_it_closes_resets_or_the_proxy_stops) {
  backend a{"a"};
  r.route(port, {{add("a", a.port), 0, 1}});
  settings.rest_after = 1ms;
  go();
  const auto resting = [&] {
    auto p = peer::to(port);
    p.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(status(p.until("\r\n\r\n")), "HTTP/1.1 200");
    EXPECT_TRUE(eventually([&] { return server->totals().resting == 1; }));
    return p;
  };
  const auto gone = [&] { return server->totals().open == 0; };
  resting().close();
  EXPECT_TRUE(eventually(gone));
  resting().reset();
  EXPECT_TRUE(eventually(gone));
  auto left = resting();
  server->stop(10s);
  EXPECT_EQ(left.all(), "") << "nothing was under way";
}

TEST_F(ingress, this_is_no_proxy) {
  backend a{"a"};
  r.route(port, {{add("a", a.port), 0, 1}});
  go();
  for (const auto* line : {"CONNECT a.test:443", "OPTIONS *", "GET https://a.test/"}) {
    auto p = peer::to(port);
    p.send(std::string{line} + " HTTP/1.1\r\nHost: a.test:443\r\nConnection: close\r\n\r\n");
    const auto answer = p.all();
    EXPECT_EQ(status(answer), "HTTP/1.1 400") << line << answer;
  }
  EXPECT_EQ(a.connections, 0);
}

} // namespace
} // namespace marchproxy::relay::testing

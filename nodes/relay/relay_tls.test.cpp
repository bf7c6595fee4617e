// SPDX-License-Identifier: AGPL-3.0-only
// Clients of ingress routes that speak TLS, over real sockets (TLS-2, IDN-5).
#include "nodes/relay/ingress_fixture.test.hpp"
#include "nodes/tls/client.test.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::relay::testing {
namespace {

using tls::testing::client_wish;
using tls::testing::issued;

class secure_ingress : public ingress {
protected:
  secure_ingress() {
    files.write_pair("a", ca.issue({"a", "DNS:a.test"}));
    files.write_pair("b", ca.issue({"b", "DNS:b.test"}));
    auto store = tls::certificate_store::open(
      {files.path, others.write("clients.pem", client_ca.pem())}, [](const std::string&) {});
    EXPECT_TRUE(store) << (store ? "" : to_string(store.error()));
    certificates = std::shared_ptr{std::move(*store)};
    settings.acceptor = *tls::acceptor::create(certificates, tls::encryption::kernel_may_too);
  }
  /// Everybody who is trusted to be a.test is served.
  model::ingress_route& secure_route(std::vector<model::ingress_backend> to) {
    auto& made = r.route(port, std::move(to));
    made.tls.emplace();
    return made;
  }
  std::unique_ptr<tls::testing::client> dial_tls(client_wish wanted = {}) {
    if (wanted.server_name.empty())
      wanted.server_name = "a.test";
    auto link = peer::to(port);
    return std::make_unique<tls::testing::client>(dup(link.fd()), wanted);
  }
  /// One request on a connection of its own; the answer, or why there is none.
  std::string ask(const client_wish& wanted = {}, const std::string& fields = "") {
    auto c = dial_tls(wanted);
    if (auto why = c->handshake(); !why.empty())
      return why;
    EXPECT_TRUE(
      c->send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n" + fields + "\r\n"));
    return c->all();
  }
  static std::string reason_in(const std::string& answer) {
    return nlohmann::json::parse(body(answer))["reason"];
  }

  tls::testing::authority ca;
  tls::testing::authority client_ca{"clients"};
  tls::testing::scratch files;
  tls::testing::scratch others;
  std::shared_ptr<tls::certificate_store> certificates;
};

TEST_F(secure_ingress, a_request_over_tls_reaches_its_backend_which_is_told_so) {
  backend a{"a"};
  secure_route({{add("a", a.port), 0, 1}}).host = "a.test";
  settings.forwarded = client_fields::both;
  go();
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto answer = ask({.trusts = &ca, .version = version, .alpn = "\x08http/1.1"},
                            "X-Forwarded-Proto: http\r\nX-Client-Cert-Subject: CN=root\r\n");
    ASSERT_EQ(status(answer), "HTTP/1.1 200") << answer;
    EXPECT_NE(answer.find("X-Forwarded-Proto: https\r\n"), std::string::npos) << answer;
    EXPECT_NE(answer.find("Forwarded: for=127.0.0.1;proto=https\r\n"), std::string::npos) << answer;
    EXPECT_EQ(answer.find("proto: http\r\n"), std::string::npos) << answer;
    EXPECT_EQ(answer.find("CN=root"), std::string::npos) << "nobody vouches for it";
  }
  ASSERT_TRUE(eventually([&] { return records().size() == 2; }));
  EXPECT_EQ(records()[0].sni, "a.test");
  EXPECT_EQ(server->totals().tls_full, 2U);
  EXPECT_TRUE(eventually([&] { return server->totals().open == 0; }));
}

TEST_F(secure_ingress, what_a_client_says_of_a_certificate_is_dropped_without_tls_too) {
  backend a{"a"};
  r.route(port, {{add("a", a.port), 0, 1}});
  go();
  const auto answer = get("x", "/", "X-Client-Cert-Subject: CN=root\r\n");
  EXPECT_EQ(status(answer), "HTTP/1.1 200");
  EXPECT_EQ(answer.find("CN=root"), std::string::npos) << answer;
}

TEST_F(secure_ingress, failed_handshakes_are_told_by_an_alert_and_counted) {
  backend a{"a"};
  secure_route({{add("a", a.port), 0, 1}});
  go();
  EXPECT_NE(ask({.server_name = "c.test"}).find("unrecognized name"), std::string::npos);
  EXPECT_NE(ask({.alpn = "\x02h2"}).find("no application protocol"), std::string::npos);
  auto plain = peer::to(port);
  plain.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  EXPECT_EQ(plain.all(), "") << "no answer, and closed";
  auto gone = peer::to(port);
  gone.send("\x16\x03\x01");
  gone.close();
  EXPECT_TRUE(eventually([&] { return server->totals().tls_failed == 4; }));
  EXPECT_TRUE(eventually([&] { return server->totals().open == 0; }));
  EXPECT_EQ(a.connections, 0);
}

TEST_F(secure_ingress, a_handshake_that_does_not_come_to_its_end_is_closed_in_time) {
  secure_route({{add("a", closed_port()), 0, 1}});
  settings.head_timeout = 50ms;
  go();
  auto slow = peer::to(port);
  slow.send("\x16\x03\x01\x02");
  EXPECT_EQ(slow.all(), "");
  EXPECT_EQ(server->totals().tls_failed, 1U);
}

TEST_F(secure_ingress, one_connection_carries_requests_rests_and_resumes) {
  backend a{"a"};
  secure_route({{add("a", a.port), 0, 1}});
  settings.rest_after = 1ms;
  go();
  auto c = dial_tls();
  ASSERT_EQ(c->handshake(), "");
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(c->send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
    EXPECT_EQ(status(c->until("\r\n\r\n")), "HTTP/1.1 200");
    EXPECT_TRUE(eventually([&] { return server->totals().resting == 1; }));
  }
  // Two requests in one record: the second is in the TLS layer, where no event tells of it.
  ASSERT_TRUE(
    c->send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\nHEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
  EXPECT_EQ(status(c->until("\r\n\r\n")), "HTTP/1.1 200");
  EXPECT_EQ(status(c->until("\r\n\r\n")), "HTTP/1.1 200");
  ASSERT_NE(c->session, nullptr);
  EXPECT_EQ(status(ask({.resumes = c->session.get()})), "HTTP/1.1 200");
  EXPECT_EQ(server->totals().tls_resumed, 1U);
  server->stop(10s);
  EXPECT_EQ(c->all(), "");
  EXPECT_EQ(c->end, "close_notify") << "nothing was under way";
}

TEST_F(secure_ingress, a_record_that_was_begun_goes_on_when_others_have_used_the_limit_up) {
  constexpr std::uint64_t burst = 14'000'000;
  // Answers with as many bytes as the path says.
  origin sized{[](peer& p) {
    auto head = p.until("\r\n\r\n");
    auto size = std::stoul(head.substr(5));
    p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n"
           + std::string(size, 'x'));
  }};
  const auto to = add("sized", sized.port);
  r.at(to).limits.emplace().bytes = model::rate_limit{50'000, 1, burst};
  secure_route({{to, 0, 1}});
  go();
  auto ask_for = [&](std::size_t size) {
    auto c = dial_tls();
    EXPECT_EQ(c->handshake(), "");
    EXPECT_TRUE(c->send("GET /" + std::to_string(size)
                        + " HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"));
    return c;
  };
  // It does not read: the sockets fill up, in the middle of a record.
  constexpr std::size_t large = 12'000'000;
  auto slow = ask_for(large);
  std::uint64_t seen = 0;
  int quiet = 0;
  ASSERT_TRUE(eventually([&] {
    auto now = server->totals().bytes_down;
    quiet = now > 0 && now == seen ? quiet + 1 : 0;
    seen = now;
    return quiet > 50;
  }));
  ASSERT_LT(seen, large) << "it was to be blocked";
  const auto rest = burst - seen + 5'000;
  EXPECT_EQ(body(ask_for(rest)->all()).size(), rest);
  const auto further = seen + 30'000;
  EXPECT_EQ(slow->exactly(further).size(), further);
}

TEST_F(secure_ingress, a_new_certificate_is_for_new_connections) {
  backend a{"a"};
  secure_route({{add("a", a.port), 0, 1}});
  go();
  auto old = dial_tls({.trusts = &ca});
  ASSERT_EQ(old->handshake(), "");
  EXPECT_EQ(old->common_name(), "a");
  files.write_pair("a", ca.issue({"second", "DNS:a.test"}));
  EXPECT_TRUE(eventually([&] {
    auto fresh = dial_tls({.trusts = &ca});
    EXPECT_EQ(fresh->handshake(), "");
    return fresh->common_name() == "second";
  }));
  ASSERT_TRUE(old->send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
  EXPECT_EQ(status(old->until("\r\n\r\n")), "HTTP/1.1 200") << "goes on as it was";
}

TEST_F(secure_ingress, large_bodies_go_both_ways_in_more_than_sockets_hold) {
  constexpr std::size_t size = 20U << 20U;
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<char>(i * 31 + i / 1000);
  origin mirror{[&](peer& p) {
    p.until("\r\n\r\n");
    const auto got = p.exactly(size);
    EXPECT_EQ(got == bytes, true);
    p.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + got); // until it closes
  }};
  secure_route({{add("mirror", mirror.port), 0, 1}});
  go();
  auto c = dial_tls();
  ASSERT_EQ(c->handshake(), "");
  ASSERT_TRUE(c->send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: " + std::to_string(size)
                      + "\r\n\r\n"));
  ASSERT_TRUE(c->send(bytes));
  EXPECT_EQ(status(c->until("\r\n\r\n")), "HTTP/1.1 200");
  EXPECT_EQ(c->exactly(size) == bytes, true);
  EXPECT_EQ(c->all(), "");
  EXPECT_EQ(c->end, "close_notify") << "the whole body was there";
}

TEST_F(secure_ingress, a_body_that_is_cut_off_does_not_end_well) {
  origin cut{[](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
  }};
  secure_route({{add("cut", cut.port), 0, 1}});
  go();
  auto c = dial_tls();
  ASSERT_EQ(c->handshake(), "");
  ASSERT_TRUE(c->send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
  const auto answer = c->all();
  EXPECT_EQ(status(answer), "HTTP/1.1 200");
  EXPECT_NE(c->end, "close_notify");
}

TEST_F(secure_ingress, a_tcp_route_is_half_closed_by_close_notify_and_cut_without) {
  std::atomic<int> whole{0};
  origin takes{[&](peer& p) {
    auto text = p.until("end"); // then the end, or a reset, which may take these words away
    if (text.empty())
      return;
    const auto more = recv(p.fd(), text.data(), 1, 0);
    whole += more == 0 ? 1 : 0;
    p.send("late answer");
  }};
  auto& tcp = secure_route({{add("takes", takes.port), 0, 1}});
  tcp.protocol = model::route_protocol::tcp;
  go();
  auto c = dial_tls({.alpn = "\x05other"});
  ASSERT_EQ(c->handshake(), "") << "nothing is known of the protocol";
  ASSERT_TRUE(c->send("the end"));
  c->say_end();
  EXPECT_EQ(c->all(), "late answer");
  EXPECT_EQ(c->end, "close_notify");
  EXPECT_EQ(whole, 1);
  auto rude = dial_tls();
  ASSERT_EQ(rude->handshake(), "");
  ASSERT_TRUE(rude->send("the end"));
  rude->close();
  ASSERT_TRUE(eventually([&] { return records().size() == 2; }));
  EXPECT_EQ(whole, 1) << "the backend is not told that this was all";
}

TEST_F(secure_ingress, websocket_and_a_long_tunnel_go_through) {
  origin ws{[](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    echo(p);
  }};
  secure_route({{add("ws", ws.port), 0, 1}});
  go();
  auto c = dial_tls();
  ASSERT_EQ(c->handshake(), "");
  ASSERT_TRUE(
    c->send("GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"));
  EXPECT_EQ(status(c->until("\r\n\r\n")), "HTTP/1.1 101");
  const std::string frame(100'000, 'f'); // past what makes a plain tunnel splice
  for (int i = 0; i < 5; ++i) {
    std::thread sends{[&] { EXPECT_TRUE(c->send(frame)); }};
    sends.join();
    EXPECT_EQ(c->exactly(frame.size()), frame);
  }
}

TEST_F(secure_ingress, behind_a_load_balancer_the_proxy_header_comes_first) {
  backend a{"a"};
  const auto who = r.service("client", "192.0.2.7/32");
  r.mapping(who, r.service("a", "127.0.0.1", {}, a.port));
  secure_route({{service_id{2}, 0, 1}});
  settings.proxy_protocol_from = {*parse_prefix("127.0.0.1/32")};
  go();
  auto link = peer::to(port);
  ASSERT_TRUE(link.send("PROXY TCP4 192.0.2.7 192.0.2.1 1234 443\r\n"));
  tls::testing::client c{dup(link.fd()), {.trusts = &ca, .server_name = "a.test"}};
  ASSERT_EQ(c.handshake(), "");
  ASSERT_TRUE(c.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"));
  EXPECT_EQ(status(c.all()), "HTTP/1.1 200");
}

TEST_F(secure_ingress, a_route_that_gets_tls_is_closed_to_clients_that_came_without) {
  backend a{"a"};
  const auto to = add("a", a.port);
  r.route(port, {{to, 0, 1}});
  go();
  auto kept = peer::to(port);
  kept.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  EXPECT_EQ(status(kept.until("\r\n\r\n")), "HTTP/1.1 200");
  rules second{2};
  second.mapping(model::select_all{}, second.service("a", "127.0.0.1", {}, a.port));
  second.route(port, {{to, 0, 1}}).tls.emplace();
  publish(second.snapshot(&backends));
  kept.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  const auto answer = kept.all();
  EXPECT_EQ(status(answer), "HTTP/1.1 400");
  EXPECT_EQ(reason_in(answer), "bad_request");
  EXPECT_EQ(status(ask()), "HTTP/1.1 200");
}

TEST_F(secure_ingress, a_route_says_which_clients_it_takes) {
  backend a{"a"};
  const auto to = add("a", a.port);
  secure_route({{to, 0, 1}}).tls->client_certificates = {
    {"Ann"}, {"client.example"}, {"spiffe://x/y"}};
  go();
  const auto ann = client_ca.issue({"Ann", ""});
  const auto dns = client_ca.issue({"x", "DNS:Client.Example"});
  const auto uri = client_ca.issue({"", "URI:spiffe://x/y"});
  const auto bob = client_ca.issue({"Bob", "DNS:other.example,URI:spiffe://x/y/z"});
  const auto old = client_ca.issue({"Ann", "", -60});
  const auto strange = ca.issue({"Ann", ""});
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const auto* good : {&ann, &dns, &uri})
      EXPECT_EQ(status(ask({.version = version, .shows = good})), "HTTP/1.1 200");
    const auto told = ask({.version = version, .shows = &ann}, "x-client-cert-subject: CN=Bob\r\n"
                                                               "X_Client-Cert_Subject: CN=Bob\r\n");
    EXPECT_NE(told.find("X-Client-Cert-Subject: CN=Ann\r\n"), std::string::npos) << told;
    EXPECT_EQ(told.find("CN=Bob"), std::string::npos) << told;
    EXPECT_EQ(reason_in(ask({.version = version})), "client_cert_required");
    for (const auto* bad : {&bob, &old, &strange}) {
      const auto answer = ask({.version = version, .shows = bad});
      EXPECT_EQ(status(answer), "HTTP/1.1 403") << answer;
      EXPECT_EQ(reason_in(answer), "client_cert_refused");
    }
  }
  EXPECT_TRUE(eventually([&] { return records().size() == 16; }));
  const auto refused = [&](reason why) {
    return server->totals().reasons[static_cast<std::size_t>(why)];
  };
  EXPECT_EQ(refused(reason::client_cert_required), 2U);
  EXPECT_EQ(refused(reason::client_cert_refused), 6U);
  for (const auto& one : records())
    EXPECT_EQ(one.allowed, one.why == reason::mapping_allow);
}

TEST_F(secure_ingress, a_route_beside_it_that_asks_for_nothing_gives_no_way_round) {
  backend a{"a"};
  const auto to = add("a", a.port);
  auto& open = secure_route({{to, 0, 1}});
  open.path = "/open";
  secure_route({{to, 0, 1}}).tls->client_certificates.emplace();
  go();
  auto c = dial_tls();
  ASSERT_EQ(c->handshake(), "");
  ASSERT_TRUE(c->send("HEAD /open HTTP/1.1\r\nHost: a.test\r\n\r\n"));
  EXPECT_EQ(status(c->until("\r\n\r\n")), "HTTP/1.1 200");
  EXPECT_EQ(c->session, nullptr) << "no session that could be resumed when the CAs have changed";
  ASSERT_TRUE(c->send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
  EXPECT_EQ(reason_in(c->all()), "client_cert_required");
}

TEST_F(secure_ingress, a_connection_that_was_not_asked_is_closed_when_the_route_wants_to_know) {
  backend a{"a"};
  const auto to = add("a", a.port);
  secure_route({{to, 0, 1}});
  go();
  const auto ann = client_ca.issue({"Ann", ""});
  auto kept = dial_tls({.shows = &ann});
  ASSERT_EQ(kept->handshake(), "");
  ASSERT_TRUE(kept->send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
  EXPECT_EQ(status(kept->until("\r\n\r\n")), "HTTP/1.1 200");
  rules second{2};
  second.mapping(model::select_all{}, second.service("a", "127.0.0.1", {}, a.port));
  second.route(port, {{to, 0, 1}}).tls = model::route_tls{model::client_certificates{}};
  publish(second.snapshot(&backends));
  ASSERT_TRUE(kept->send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
  EXPECT_EQ(reason_in(kept->all()), "client_cert_required");
  EXPECT_EQ(status(ask({.shows = &ann})), "HTTP/1.1 200");
}

TEST_F(secure_ingress, a_tcp_route_refuses_clients_by_their_certificates_too) {
  origin echoes{echo};
  auto& tcp = secure_route({{add("echoes", echoes.port), 0, 1}});
  tcp.protocol = model::route_protocol::tcp;
  tcp.tls->client_certificates = {{"Ann"}, {}, {}};
  go();
  const auto ann = client_ca.issue({"Ann", ""});
  const auto bob = client_ca.issue({"Bob", ""});
  auto good = dial_tls({.shows = &ann});
  ASSERT_EQ(good->handshake(), "");
  ASSERT_TRUE(good->send("hi"));
  EXPECT_EQ(good->exactly(2), "hi");
  auto bad = dial_tls({.shows = &bob});
  ASSERT_EQ(bad->handshake(), "");
  EXPECT_EQ(bad->all(), "");
  EXPECT_EQ(record().why, reason::client_cert_refused);
  EXPECT_EQ(echoes.connections, 1);
}

} // namespace
} // namespace marchproxy::relay::testing

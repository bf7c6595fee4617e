// SPDX-License-Identifier: AGPL-3.0-only
// Backends of ingress routes that speak TLS, over real sockets (TLS-2).
#include "nodes/relay/ingress_fixture.test.hpp"
#include "nodes/tls/client.test.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::relay::testing {
namespace {

using tls::testing::issued;
using secure_peer = tls::testing::server;

/// An origin with TLS, which shows one certificate and gives each connection to @p serve.
class secure_origin : public origin {
public:
  secure_origin(issued shows, std::function<void(secure_peer&)> serve)
    : origin([this, shows = std::move(shows), serve = std::move(serve)](peer& p) {
        secure_peer end{dup(p.fd()), shows};
        if (!end.handshake().empty())
          return;
        ++handshakes;
        name = end.server_name();
        serve(end);
      }) {}
  std::atomic<int> handshakes{0};
  std::string name; ///< that the last client told
};

/// Answers each request with its head.
void tell(secure_peer& p) {
  for (auto head = p.until("\r\n\r\n"); !head.empty(); head = p.until("\r\n\r\n"))
    if (!p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(head.size()) + "\r\n\r\n"
                + head))
      return;
}

class secure_backends : public ingress {
protected:
  secure_backends() {
    settings.connector =
      *tls::connector::create(files.write("ca", ca.pem()), tls::encryption::kernel_may_too);
  }
  service_id add_secure(const std::string& name, std::uint16_t at) {
    const auto id = add(name, at);
    r.at(id).tls_enabled = true;
    r.at(id).tls_verify = true;
    return id;
  }
  /// The reason and the sentence of a refusal with 502.
  std::pair<std::string, std::string> refused() {
    const auto answer = get("x");
    EXPECT_EQ(status(answer), "HTTP/1.1 502") << answer;
    const auto told = nlohmann::json::parse(body(answer));
    return {told["reason"], told["error"]["message"]};
  }

  tls::testing::authority ca;
  tls::testing::scratch files;
};

TEST_F(secure_backends, are_reached_by_tls_and_their_connections_are_kept) {
  secure_origin a{ca.issue({"a", "IP:127.0.0.1"}), tell};
  r.route(port, {{add_secure("shop-1", a.port), 0, 1}});
  go();
  for (int i = 0; i < 10; ++i) {
    const auto answer = get("x");
    ASSERT_EQ(status(answer), "HTTP/1.1 200") << answer;
  }
  EXPECT_EQ(a.connections, 1) << "tickets that come after the handshake are no reason to drop it";
  EXPECT_EQ(a.name, "shop-1");
}

TEST_F(secure_backends, at_a_name_must_have_that_name) {
  secure_origin good{ca.issue({"x", "DNS:origin.test"}), tell};
  secure_origin other{ca.issue({"origin.test", "DNS:other.test"}), tell};
  for (const auto* one : {&good, &other}) {
    const auto id = r.service(one == &good ? "good" : "other", "origin.test", {}, one->port);
    r.at(id).tls_enabled = true;
    r.mapping(model::select_all{}, id).allow_private = true;
    r.route(port, {{id, 0, 1}}).host = one == &good ? "good.test" : "";
  }
  go();
  EXPECT_EQ(status(get("good.test")), "HTTP/1.1 200");
  EXPECT_EQ(good.name, "origin.test");
  const auto [why, words] = refused();
  EXPECT_EQ(why, "upstream_tls_failed");
  EXPECT_EQ(words, "no TLS connection to the backend: hostname mismatch");
  EXPECT_EQ(other.handshakes, 0);
}

TEST_F(secure_backends, that_are_not_who_they_should_be_get_nothing) {
  const tls::testing::authority stranger{"stranger"};
  std::atomic<int> asked{0};
  const auto count = [&](secure_peer& p) { asked += p.until("\r\n\r\n").empty() ? 0 : 1; };
  secure_origin forged{stranger.issue({"a", "IP:127.0.0.1"}), count};
  secure_origin old{ca.issue({"a", "IP:127.0.0.1", -60}), count};
  secure_origin wrong{ca.issue({"a", "IP:127.0.0.2,DNS:nobody"}), count};
  origin plain{[](peer& p) {
    p.receive();
    p.send("HTTP/1.1 400 Bad Request\r\n\r\n");
  }};
  const std::pair<std::uint16_t, const char*> cases[] = {
    {forged.port, "unable to get local issuer certificate"},
    {old.port, "certificate has expired"},
    {wrong.port, "the certificate has neither the address nor the service's name"},
    {plain.port, "wrong version number"}};
  for (const auto& [at, problem] : cases)
    r.route(port, {{add_secure(std::to_string(at), at), 0, 1}}).host = std::to_string(at) + ".test";
  go();
  for (const auto& [at, problem] : cases) {
    const auto answer = get(std::to_string(at) + ".test");
    EXPECT_EQ(status(answer), "HTTP/1.1 502") << answer;
    EXPECT_EQ(nlohmann::json::parse(body(answer))["reason"], "upstream_tls_failed");
    EXPECT_NE(answer.find(problem), std::string::npos) << answer;
  }
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(server->totals().upstream_failures, 4U);
}

TEST_F(secure_backends, are_taken_as_they_are_only_where_the_service_says_so) {
  secure_origin any{tls::testing::authority{}.issue({"a", ""}), tell};
  const auto to = add_secure("any", any.port);
  r.at(to).tls_verify = false;
  r.route(port, {{to, 0, 1}});
  // The same place, and a service that wants to know: no connection of the other's is used.
  r.route(port, {{add_secure("sure", any.port), 0, 1}}).host = "sure.test";
  go();
  EXPECT_EQ(status(get("x")), "HTTP/1.1 200");
  EXPECT_EQ(status(get("sure.test")), "HTTP/1.1 502");
  EXPECT_EQ(status(get("x")), "HTTP/1.1 200");
  EXPECT_EQ(any.handshakes, 1);
}

TEST_F(secure_backends, one_that_fails_is_made_up_for_by_another) {
  secure_origin wrong{ca.issue({"a", "IP:127.0.0.2"}), tell};
  backend b{"b"};
  r.route(port, {{add_secure("wrong", wrong.port), 0, 1}, {add("b", b.port), 0, 1}});
  go();
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(who("x"), "b");
  EXPECT_EQ(wrong.connections, 3) << "then it is left out";
}

TEST_F(secure_backends, one_that_says_nothing_is_given_up_in_time) {
  origin silent{[](peer& p) { p.all(); }};
  r.route(port, {{add_secure("silent", silent.port), 0, 1}});
  settings.connect_timeout = 100ms;
  go();
  const auto answer = get("x");
  EXPECT_EQ(status(answer), "HTTP/1.1 504") << answer;
  EXPECT_TRUE(eventually([&] { return server->totals().open == 0; }));
}

TEST_F(secure_backends, an_answer_that_is_cut_off_is_not_told_as_whole) {
  secure_origin cut{ca.issue({"a", "IP:127.0.0.1"}), [](secure_peer& p) {
                      static_cast<void>(p.until("\r\n\r\n"));
                      static_cast<void>(p.send("HTTP/1.1 200 OK\r\n\r\nuntil the end"));
                      shutdown(p.fd(), SHUT_RDWR); // without close_notify: somebody in between
                    }};
  r.route(port, {{add_secure("cut", cut.port), 0, 1}});
  go();
  auto p = peer::to(port);
  p.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  p.until("the end");
  char more = 0;
  EXPECT_EQ(recv(p.fd(), &more, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_F(secure_backends, an_answer_until_the_end_is_whole_with_close_notify) {
  secure_origin says{ca.issue({"a", "IP:127.0.0.1"}), [](secure_peer& p) {
                       static_cast<void>(p.until("\r\n\r\n"));
                       static_cast<void>(p.send("HTTP/1.1 200 OK\r\n\r\nall of it"));
                       p.say_end();
                     }};
  r.route(port, {{add_secure("says", says.port), 0, 1}});
  go();
  EXPECT_EQ(body(get("x")), "all of it");
}

TEST_F(secure_backends, large_bodies_and_websocket_go_through) {
  constexpr std::size_t size = 5U << 20U;
  secure_origin mirror{
    ca.issue({"a", "IP:127.0.0.1"}), [](secure_peer& p) {
      const auto head = p.until("\r\n\r\n");
      if (head.find("Upgrade") != std::string::npos) {
        static_cast<void>(p.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                 "Connection: Upgrade\r\n\r\n"));
        for (auto some = p.some(); !some.empty() && p.send(some);)
          some = p.some();
        return;
      }
      const auto got = p.exactly(size);
      static_cast<void>(
        p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + got));
    }};
  r.route(port, {{add_secure("mirror", mirror.port), 0, 1}});
  go();
  const std::string bytes = [] {
    std::string out(size, '\0');
    for (std::size_t i = 0; i < size; ++i)
      out[i] = static_cast<char>(i * 13 + i / 999);
    return out;
  }();
  auto p = peer::to(port);
  p.send("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
         + std::to_string(size) + "\r\n\r\n" + bytes);
  p.until("\r\n\r\n");
  EXPECT_EQ(p.all() == bytes, true);
  auto ws = peer::to(port);
  ws.send("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          "Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n");
  EXPECT_EQ(status(ws.until("\r\n\r\n")), "HTTP/1.1 101");
  for (int i = 0; i < 3; ++i) {
    ws.send(bytes.substr(0, 100'000));
    EXPECT_EQ(ws.exactly(100'000) == bytes.substr(0, 100'000), true);
  }
}

TEST_F(secure_backends, a_tcp_route_speaks_tls_to_them_only_if_it_ends_its_clients_own) {
  secure_origin echoes{ca.issue({"a", "IP:127.0.0.1,DNS:a.test"}), [](secure_peer& p) {
                         for (auto some = p.some(); !some.empty() && p.send(some);)
                           some = p.some();
                       }};
  files.write_pair("front", ca.issue({"front", "DNS:a.test"}));
  auto store = tls::certificate_store::open({files.path, {}}, [](const std::string&) {});
  settings.acceptor = *tls::acceptor::create(std::move(*store), tls::encryption::kernel_may_too);
  const auto to = add_secure("echoes", echoes.port);
  r.route(port, {{to, 0, 1}}).protocol = model::route_protocol::tcp;
  const auto ended = free_port();
  auto& tcp = r.route(ended, {{to, 0, 1}});
  tcp.protocol = model::route_protocol::tcp;
  tcp.tls.emplace();
  go();
  for (const auto& [at, shown] : {std::pair{port, "a"}, std::pair{ended, "front"}}) {
    auto link = peer::to(at);
    tls::testing::client c{dup(link.fd()), {.trusts = &ca, .server_name = "a.test"}};
    ASSERT_EQ(c.handshake(), "");
    EXPECT_EQ(c.common_name(), shown);
    ASSERT_TRUE(c.send("hello"));
    EXPECT_EQ(c.exactly(5), "hello");
  }
}

TEST_F(secure_backends, are_asked_how_they_are_by_tls) {
  std::atomic<bool> well{true};
  secure_origin a{ca.issue({"a", "IP:127.0.0.1"}), [&](secure_peer& p) {
                    const auto head = p.until("\r\n\r\n");
                    static_cast<void>(p.send(well ? "HTTP/1.1 204 No Content\r\n\r\n"
                                                  : "HTTP/1.1 500 Ill\r\n\r\n"));
                  }};
  secure_origin forged{tls::testing::authority{}.issue({"a", "IP:127.0.0.1"}), tell};
  const auto to_a = add_secure("a", a.port);
  const auto to_forged = add_secure("forged", forged.port);
  for (const auto one : {to_a, to_forged})
    r.at(one).health = {true, "/healthz", 1s, 1, 1};
  r.route(port, {{to_a, 0, 1}, {to_forged, 0, 1}});
  go();
  const auto at = [&](service_id of, std::uint16_t number) {
    return backends.at(of, *wire::parse_host_port("127.0.0.1:" + std::to_string(number)));
  };
  const auto first = at(to_a, a.port);
  const auto second = at(to_forged, forged.port);
  EXPECT_TRUE(eventually([&] { return !second->up(); }));
  EXPECT_TRUE(eventually([&] { return a.handshakes >= 1; }));
  EXPECT_TRUE(first->up());
  well = false;
  EXPECT_TRUE(eventually([&] { return !first->up(); }));
  well = true;
  EXPECT_TRUE(eventually([&] { return first->up(); }));
}

} // namespace
} // namespace marchproxy::relay::testing

// SPDX-License-Identifier: AGPL-3.0-only
// Connections to services that begin with a PROXY header (NET-6).
#include "nodes/relay/ingress_fixture.test.hpp"
#include "nodes/wire/proxy_protocol.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::relay::testing {
namespace {

namespace pp = wire::proxy_protocol;
using model::proxy_header;

/// Takes a connection's PROXY header. @return `address:port` of the client, `nobody`, or why not
std::string take_header(peer& p) {
  std::string begun;
  for (;;) {
    const auto header = pp::parse(begun);
    if (header.state == wire::parse_state::error)
      return "no header: " + begun;
    if (header.state == wire::parse_state::complete)
      return header.of ? net::to_string({header.of->source, header.of->source_port}) : "nobody";
    const auto more = p.exactly(1);
    if (more.empty())
      return "closed after: " + begun;
    begun += more;
  }
}

bool answer(peer& p, const std::string& body) {
  return p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n"
                + body);
}

/// A server that takes both: what begins with a request has no header.
void serve_both(peer& p) {
  const auto begin = p.exactly(1);
  p.unread(begin);
  const auto who = begin == "G" ? std::string{"plain"} : take_header(p);
  while (!p.until("\r\n\r\n").empty())
    answer(p, who);
}

/// Remembers who came, and answers each request with that.
class introduced {
public:
  std::vector<std::string> came() {
    std::lock_guard lock{mutex_};
    return came_;
  }

private:
  void serve(peer& p) {
    const auto who = take_header(p);
    {
      std::lock_guard lock{mutex_};
      came_.push_back(who);
    }
    while (!p.until("\r\n\r\n").empty())
      if (!answer(p, who))
        return;
  }
  std::mutex mutex_;
  std::vector<std::string> came_;

public:
  origin server{[this](peer& p) { serve(p); }}; ///< ends before what it uses
};

/// How the far end sees a client of ours.
std::string name_of(const peer& p) {
  return net::to_string(net::local_endpoint(p.fd()));
}

std::string ask(peer& p, const std::string& path = "/") {
  p.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto head = p.until("\r\n\r\n");
  const auto length = head.find("Content-Length: ");
  return length == std::string::npos ? head : p.exactly(std::stoul(head.substr(length + 16)));
}

class introducing : public ingress, public ::testing::WithParamInterface<proxy_header> {
protected:
  service_id add_introduced(const std::string& name, std::uint16_t at) {
    const auto id = add(name, at);
    r.at(id).proxy_protocol = GetParam();
    return id;
  }
};
INSTANTIATE_TEST_SUITE_P(versions,
                         introducing,
                         ::testing::Values(proxy_header::v1, proxy_header::v2),
                         [](const auto& one) { return std::string{to_string(one.param)}; });

TEST_P(introducing, a_tcp_route_s_backend_hears_of_the_client_before_anything_else) {
  origin speaks_first{[](peer& p) {
    const auto who = take_header(p);
    p.send("welcome " + who + "\n" + p.exactly(3));
    echo(p);
  }};
  r.route(port, {{add_introduced("one", speaks_first.port), 0, 1}}).protocol =
    model::route_protocol::tcp;
  go();
  auto first = peer::to(port, "127.0.0.7");
  first.send("abc");
  EXPECT_EQ(first.until("abc"), "welcome " + name_of(first) + "\nabc");
  first.shut_down();
  EXPECT_EQ(first.all(), "");
  auto silent = peer::to(port, "127.0.0.8");
  silent.shut_down();
  EXPECT_EQ(silent.all(), "welcome " + name_of(silent) + "\n") << "who says nothing is named too";
  ASSERT_TRUE(eventually([&] { return records().size() == 2; }));
  EXPECT_EQ(records()[0].bytes_up, 3U) << "the header is not the client's";
}

TEST_P(introducing, http_clients_have_connections_of_their_own) {
  introduced a;
  r.route(port, {{add_introduced("a", a.server.port), 0, 1}});
  go();
  {
    auto first = peer::to(port, "127.0.0.7");
    auto second = peer::to(port, "127.0.0.8");
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(ask(first), name_of(first));
      EXPECT_EQ(ask(second), name_of(second));
    }
    EXPECT_EQ(a.server.connections, 2) << "each client's requests share one";
  }
  auto third = peer::to(port, "127.0.0.7");
  EXPECT_EQ(ask(third), name_of(third)) << "nor is it kept for who comes later";
  EXPECT_EQ(a.server.connections, 3);
}

TEST_P(introducing, one_connection_carries_requests_to_those_who_want_a_header_and_who_do_not) {
  introduced a;
  backend b{"b"};
  r.route(port, {{add_introduced("a", a.server.port), 0, 1}}).path = "/a";
  r.route(port, {{add("b", b.port), 0, 1}});
  go();
  auto p = peer::to(port);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask(p, "/a"), name_of(p));
    EXPECT_EQ(ask(p).substr(0, 2), "b\n");
  }
  EXPECT_EQ(b.connections, 1) << "those without a header are kept as ever";
}

TEST_P(introducing, two_services_at_one_place_are_told_apart) {
  origin both{serve_both};
  r.route(port, {{add_introduced("told", both.port), 0, 1}}).path = "/told";
  r.route(port, {{add("plain", both.port), 0, 1}});
  go();
  auto p = peer::to(port);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask(p), "plain");
    EXPECT_EQ(ask(p, "/told"), name_of(p));
    EXPECT_EQ(ask(p, "/told"), name_of(p));
  }
}

TEST_P(introducing, a_new_connection_after_the_backend_closed_is_introduced_as_well) {
  origin once{[](peer& p) {
    const auto who = take_header(p);
    p.until("\r\n\r\n");
    answer(p, who);
  }}; // and closes, though it did not say so
  r.route(port, {{add_introduced("once", once.port), 0, 1}});
  go();
  auto p = peer::to(port);
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(ask(p), name_of(p));
}

TEST_P(introducing, whom_a_load_balancer_names_is_named_on) {
  introduced a;
  r.route(port, {{add_introduced("a", a.server.port), 0, 1}});
  settings.proxy_protocol_from = {*parse_prefix("127.0.0.1/32")};
  go();
  auto p = peer::to(port);
  p.send("PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n");
  EXPECT_EQ(ask(p), "[2001:db8::7]:4711");
}

TEST_P(introducing, a_revision_that_changes_it_holds_from_the_next_request_on) {
  origin both{serve_both};
  r.route(port, {{add_introduced("both", both.port), 0, 1}});
  go();
  auto p = peer::to(port);
  EXPECT_EQ(ask(p), name_of(p));
  r.at(service_id{1}).proxy_protocol = proxy_header::off;
  publish(r.snapshot(&backends));
  EXPECT_EQ(ask(p), "plain");
  r.at(service_id{1}).proxy_protocol = GetParam();
  publish(r.snapshot(&backends));
  EXPECT_EQ(ask(p), name_of(p));
}

TEST_P(introducing, health_checks_speak_for_nobody) {
  introduced a;
  const auto to_a = add_introduced("a", a.server.port);
  auto& health = r.at(to_a).health;
  health.enabled = true;
  health.interval = 1s;
  health.unhealthy_threshold = 1;
  r.route(port, {{to_a, 0, 1}});
  go();
  ASSERT_TRUE(eventually([&] { return a.came().size() >= 2; }));
  EXPECT_EQ(a.came(), (std::vector<std::string>(a.came().size(), "nobody")));
  EXPECT_TRUE(
    backends.at(to_a, *wire::parse_host_port("127.0.0.1:" + std::to_string(a.server.port)))->up());
}

/// An egress proxy's listener of a service.
class listener_introducing : public relaying, public ::testing::WithParamInterface<proxy_header> {};
INSTANTIATE_TEST_SUITE_P(versions,
                         listener_introducing,
                         ::testing::Values(proxy_header::v1, proxy_header::v2),
                         [](const auto& one) { return std::string{to_string(one.param)}; });

TEST_P(listener_introducing, the_service_hears_of_the_client_and_follows_the_revision) {
  origin tells{[](peer& p) {
    auto begin = p.exactly(1);
    p.unread(begin);
    p.send((begin == "x" ? "plain" : take_header(p)) + "\n");
    echo(p);
  }};
  const auto listen = free_port();
  rules r;
  const auto client = r.service("client", "127.0.0.0/8");
  const auto to = r.service("db", "127.0.0.1", listen, tells.port);
  r.at(to).proxy_protocol = GetParam();
  r.mapping(client, to);
  start(r.snapshot());
  ASSERT_EQ(problems(), std::vector<std::string>{});
  auto waits = peer::to(listen, "127.0.0.9");
  EXPECT_EQ(waits.until("\n"), name_of(waits) + "\n") << "before the client says anything";
  auto first = peer::to(listen, "127.0.0.9");
  first.send("x");
  EXPECT_EQ(first.until("\n"), name_of(first) + "\n");
  EXPECT_EQ(first.exactly(1), "x");
  r.at(to).proxy_protocol = proxy_header::off;
  publish(r.snapshot());
  auto second = peer::to(listen, "127.0.0.9");
  second.send("x");
  EXPECT_EQ(second.until("\n"), "plain\n");
}

TEST_P(listener_introducing, the_explicit_proxy_s_clients_speak_for_themselves) {
  origin echoes{echo};
  rules r;
  const auto client = r.service("client", "127.0.0.1/32");
  const auto to = r.service("db", "127.0.0.1", {}, echoes.port);
  r.at(to).proxy_protocol = GetParam();
  r.mapping(client, to);
  start(r.snapshot());
  auto p = dial();
  EXPECT_TRUE(connect(p, at(echoes.port)).starts_with("HTTP/1.1 200"));
  p.send("hello");
  EXPECT_EQ(p.exactly(5), "hello");
}

} // namespace
} // namespace marchproxy::relay::testing

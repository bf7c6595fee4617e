// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/relay_fixture.test.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;

class relaying_server : public relaying {
protected:
  origin server_behind{echo};
};

TEST_F(relaying_server, a_service_has_a_listener_while_the_revision_says_so) {
  settings.workers = 2;
  reserved_port port;
  auto set = [&](std::uint64_t number, bool listens, bool allowed) {
    rules r{number};
    auto client = r.service("client", "127.0.0.1/32");
    auto to = r.service("origin", "127.0.0.1/32",
                        listens ? std::optional{port.number} : std::nullopt, server_behind.port);
    if (allowed)
      r.mapping(client, to);
    return r.snapshot();
  };
  start(set(1, true, true));
  auto p = peer::to(port.number);
  p.send("hello");
  EXPECT_EQ(p.exactly(5), "hello");
  p.close();
  auto first = record();
  EXPECT_EQ(first.via, entry::listener);
  EXPECT_EQ(first.asked, at(server_behind.port));
  publish(set(2, true, false));
  auto q = peer::to(port.number);
  EXPECT_EQ(q.all(), "");
  ASSERT_TRUE(eventually([&] { return records().size() == 2; }));
  EXPECT_EQ(records().back().why, reason::implicit_deny);
  publish(set(3, false, true));
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  auto closed = net::to_socket_address({*parse_ip("127.0.0.1"), port.number});
  EXPECT_NE(::connect(fd, closed.get(), closed.size), 0);
  ::close(fd);
}

TEST_F(relaying_server, listeners_that_cannot_be_are_told_and_the_rest_works) {
  origin in_the_way{echo}; // listens without SO_REUSEPORT
  rules set;
  auto client = set.service("client", "127.0.0.1/32");
  set.mapping(client, set.service("origin", "127.0.0.1/32"));
  set.service("range", "10.0.0.0/8", 7001);
  set.service("wild", "*.wild.test", 7002);
  set.service("taken", "127.0.0.1/32", in_the_way.port);
  start(set.snapshot());
  auto told = problems();
  ASSERT_EQ(told.size(), 3U);
  EXPECT_NE(told[0].find("service range on port 7001"), std::string::npos);
  EXPECT_NE(told[2].find(std::to_string(in_the_way.port)), std::string::npos);
  auto p = dial();
  EXPECT_TRUE(connect(p, at(server_behind.port)).starts_with("HTTP/1.1 200"));
}

TEST_F(relaying_server, a_new_revision_cuts_the_tunnels_it_refuses_and_no_others) {
  settings.workers = 2;
  origin other{echo};
  auto set = [&](std::uint64_t number, bool both) {
    rules r{number};
    auto client = r.service("client", "127.0.0.1/32");
    auto web = r.service("web", "127.0.0.1/32", {}, server_behind.port);
    r.mapping(client, web);
    if (both)
      r.mapping(client, r.service("other", "127.0.0.1/32", {}, other.port));
    return r.snapshot();
  };
  start(set(1, true));
  std::vector<peer> kept, cut;
  for (int i = 0; i < 20; ++i) {
    kept.push_back(dial());
    EXPECT_TRUE(connect(kept.back(), at(server_behind.port)).starts_with("HTTP/1.1 200"));
    cut.push_back(dial());
    EXPECT_TRUE(connect(cut.back(), at(other.port)).starts_with("HTTP/1.1 200"));
  }
  publish(set(2, false));
  for (auto& p : cut)
    EXPECT_EQ(p.all(), "");
  for (auto& p : kept) {
    p.send("on");
    EXPECT_EQ(p.exactly(2), "on");
  }
  ASSERT_TRUE(eventually([&] { return records().size() == 20; }));
  for (const auto& r : records())
    EXPECT_EQ(r.why, reason::revision_changed);
}

TEST_F(relaying_server, a_slow_head_times_out) {
  settings.head_timeout = 100ms;
  start(allow_loopback().snapshot());
  auto silent = dial();
  EXPECT_EQ(silent.all(), "");
  auto slow = dial();
  slow.send("GET http://127");
  EXPECT_TRUE(slow.all().starts_with("HTTP/1.1 408"));
  auto socks = dial();
  socks.send("\x05");
  EXPECT_EQ(socks.all(), "");
  // Dripping does not help: the limit is for the whole head.
  auto dripping = dial();
  auto begin = std::chrono::steady_clock::now();
  for (bool open = true; open && std::chrono::steady_clock::now() - begin < patience;) {
    open = dripping.send("G");
    char c = 0;
    open = open && recv(dripping.fd(), &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  EXPECT_TRUE(eventually([&] { return server->totals().open == 0; }));
}

TEST_F(relaying_server, an_idle_tunnel_is_closed) {
  settings.idle_timeout = 100ms;
  start(allow_loopback().snapshot());
  auto p = dial();
  connect(p, at(server_behind.port));
  EXPECT_EQ(p.all(), "");
  EXPECT_EQ(record().why, reason::mapping_allow);
}

TEST_F(relaying_server, a_full_worker_turns_connections_away) {
  settings.max_connections = 2;
  start(allow_loopback().snapshot());
  auto a = dial();
  auto b = dial();
  EXPECT_TRUE(connect(a, at(server_behind.port)).starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(connect(b, at(server_behind.port)).starts_with("HTTP/1.1 200"));
  auto c = dial();
  EXPECT_EQ(c.all(), "");
  EXPECT_EQ(server->totals().over_limit, 1U);
  a.close();
  ASSERT_TRUE(eventually([&] { return server->totals().open == 1; }));
  auto d = dial();
  EXPECT_TRUE(connect(d, at(server_behind.port)).starts_with("HTTP/1.1 200"));
}

TEST_F(relaying_server, draining_finishes_what_is_under_way) {
  settings.workers = 2;
  start(allow_loopback().snapshot());
  auto p = dial();
  connect(p, at(server_behind.port));
  auto idle = dial();
  idle.send("GET http://" + at(1)
            + "/ HTTP/1.1\r\nHost: x\r\n\r\n"); // refused by the kernel, kept alive by us
  idle.until("\r\n\r\n");
  std::thread stopping{[&] { server->stop(patience); }};
  idle.all(); // closed at once
  p.send("hello");
  EXPECT_EQ(p.exactly(5), "hello");
  p.shut_down();
  EXPECT_EQ(p.all(), "");
  stopping.join();
  EXPECT_EQ(server->totals().open, 0U);
}

TEST_F(relaying_server, draining_has_an_end) {
  start(allow_loopback().snapshot());
  auto p = dial();
  connect(p, at(server_behind.port));
  server->stop(50ms);
  EXPECT_EQ(p.all(), "");
  EXPECT_EQ(record().why, reason::shutting_down);
}

TEST_F(relaying_server, hands_its_port_over_and_lets_everybody_finish) {
  settings.workers = 2;
  auto policy = allow_loopback().snapshot();
  start(policy);
  auto tunnel = dial();
  connect(tunnel, at(server_behind.port));
  const auto request = "GET http://" + at(1) + "/ HTTP/1.1\r\nHost: x\r\n\r\n";
  auto kept = dial();
  kept.send(request);
  EXPECT_TRUE(kept.until("\r\n\r\n").starts_with("HTTP/1.1 502"));
  ASSERT_TRUE(eventually([&] { return server->totals().resting == 1; }));

  const auto before = server->totals().connections;
  settings.proxy_listen.port = server->proxy_port();
  auto sockets = server->listening();
  EXPECT_EQ(sockets.size(), 2U);
  auto next = relay_server::start(settings, {}, std::move(sockets));
  ASSERT_TRUE(next) << to_string(next.error());
  EXPECT_EQ((*next)->proxy_port(), server->proxy_port());
  server->retire(patience);
  // Nothing is accepted before the policy is there, and nobody who connects meanwhile is lost.
  auto waiting = dial();
  (*next)->publish(policy);
  EXPECT_TRUE(connect(waiting, at(server_behind.port)).starts_with("HTTP/1.1 200"));
  for (int i = 0; i < 20; ++i) {
    auto p = dial();
    EXPECT_TRUE(connect(p, at(server_behind.port)).starts_with("HTTP/1.1 200"));
  }
  // The one before accepts what comes to it until its workers have heard, and nothing later.
  EXPECT_EQ((*next)->totals().connections + server->totals().connections - before, 21U);
  EXPECT_GE((*next)->totals().connections, 10U);

  tunnel.send("still");
  EXPECT_EQ(tunnel.exactly(5), "still");
  kept.send(request);
  EXPECT_NE(kept.all().find("Connection: close\r\n"), std::string::npos)
    << "its next answer tells it to connect again";
  EXPECT_FALSE(server->drained());
  tunnel.close();
  waiting.close(); // it may have come to the one before
  EXPECT_TRUE(eventually([&] { return server->drained(); }));
}

TEST_F(relaying_server, closes_sockets_that_were_handed_over_for_nothing) {
  settings.proxy_listen = {*parse_ip("127.0.0.2"), 0};
  std::vector<net::unique_fd> inherited;
  inherited.push_back(std::move(*net::listen_tcp({*parse_ip("127.0.0.1"), 0})));
  const auto port = net::local_endpoint(inherited.front().get()).port;
  auto next = relay_server::start(settings, {}, std::move(inherited));
  ASSERT_TRUE(next) << to_string(next.error());
  auto listens = [&] {
    return !net::listen_tcp({*parse_ip("127.0.0.1"), port}, {.reuse_port = false}).has_value();
  };
  EXPECT_TRUE(listens());
  (*next)->close_inherited();
  EXPECT_FALSE(listens());
}

TEST_F(relaying_server, a_port_that_is_taken_is_an_error) {
  origin in_the_way{echo};
  settings.proxy_listen = {*parse_ip("127.0.0.1"), in_the_way.port};
  auto started = relay_server::start(settings, {});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, errc::conflict);
}

} // namespace
} // namespace marchproxy::relay

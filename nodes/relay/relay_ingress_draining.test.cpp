// SPDX-License-Identifier: AGPL-3.0-only
// Backends that are taken out of service without anybody noticing (POL-5).
#include "nodes/relay/ingress_fixture.test.hpp"

#include <nlohmann/json.hpp>

#include <future>

namespace marchproxy::relay::testing {
namespace {

/// Backends a and b, both always reachable; what the route says of them changes.
class ingress_draining : public ingress {
protected:
  enum class change : std::uint8_t { none, one_drains, one_is_gone, both_drain };

  [[nodiscard]] std::shared_ptr<const policy_snapshot>
  revision(std::uint64_t number,
           change what,
           model::balancing how = model::balancing::round_robin,
           model::route_protocol protocol = model::route_protocol::http) {
    rules all{number};
    const auto to_a = all.service("a", "127.0.0.1", {}, a.port);
    const auto to_b = all.service("b", "127.0.0.1", {}, b.port);
    all.mapping(model::select_all{}, to_a);
    all.mapping(model::select_all{}, to_b);
    const auto drains = [&](const char* name) {
      return what == change::both_drain || (what == change::one_drains && leaver == name);
    };
    std::vector<model::ingress_backend> leads{{to_b, 0, 1, drains("b")},
                                              {to_a, 0, 1000, drains("a")}};
    if (what == change::one_is_gone)
      leads.erase(leads.begin() + (leaver == "b" ? 0 : 1));
    auto& route = all.route(port, std::move(leads));
    route.balancing = how;
    route.protocol = protocol;
    return all.snapshot(&backends);
  }
  /// Asks over a connection that is kept. @return who answered
  static std::string ask(peer& p) {
    p.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto head = p.until("\r\n\r\n");
    const auto length = head.find("Content-Length: ");
    EXPECT_NE(length, std::string::npos) << head;
    return length == std::string::npos
             ? ""
             : p.exactly(std::stoul(head.substr(length + 16))).substr(0, 1);
  }
  backend a{"a"};
  backend b{"b"};
  std::string leaver = "a"; ///< of which the change tells
};

TEST_F(ingress_draining, nothing_new_goes_there_not_even_when_it_is_the_only_one) {
  start(revision(1, change::none));
  auto kept = peer::to(port);
  EXPECT_EQ(ask(kept), "a");
  publish(revision(2, change::one_drains));
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(who("x"), "b");
  EXPECT_EQ(ask(kept), "b") << "its next request is new";
  publish(revision(3, change::both_drain));
  const auto refused = get("x");
  EXPECT_EQ(status(refused), "HTTP/1.1 503");
  EXPECT_EQ(nlohmann::json::parse(body(refused))["reason"], "no_backend");
  publish(revision(4, change::none));
  EXPECT_EQ(who("x"), "a");
}

TEST_F(ingress_draining, clients_held_by_their_source_go_on_while_they_are_connected) {
  constexpr auto how = model::balancing::source_hash;
  settings.rest_after = 1ms;
  start(revision(1, change::none, how));
  auto kept = peer::to(port);
  leaver = ask(kept);
  const std::string other = leaver == "a" ? "b" : "a";
  EXPECT_TRUE(eventually([&] { return server->totals().resting == 1; }));
  publish(revision(2, change::one_drains, how));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask(kept), leaver);
    EXPECT_TRUE(eventually([&] { return server->totals().resting == 1; })) << "and rests between";
    EXPECT_EQ(who("x"), other) << "who comes new, of the same source, does not";
  }
  publish(revision(3, change::one_drains));
  EXPECT_EQ(ask(kept), other) << "the route holds nobody by source any more";
}

TEST_F(ingress_draining, a_removed_one_holds_nobody) {
  constexpr auto how = model::balancing::source_hash;
  start(revision(1, change::none, how));
  auto kept = peer::to(port);
  leaver = ask(kept);
  publish(revision(2, change::one_is_gone, how));
  EXPECT_NE(ask(kept), leaver);
}

/// What is open when the backend drains, or is removed, comes to its end.
class ingress_leaving : public ingress_draining, public ::testing::WithParamInterface<int> {
protected:
  [[nodiscard]] change what() const {
    return GetParam() == 0 ? change::one_drains : change::one_is_gone;
  }
};

TEST_P(ingress_leaving, tcp_connections_that_are_open_go_on) {
  start(revision(1, change::none, model::balancing::round_robin, model::route_protocol::tcp));
  auto open = peer::to(port);
  EXPECT_EQ(ask(open), "a");
  publish(revision(2, what(), model::balancing::round_robin, model::route_protocol::tcp));
  EXPECT_EQ(ask(open), "a");
  auto next = peer::to(port);
  EXPECT_EQ(ask(next), "b");
  EXPECT_EQ(ask(open), "a");
}

TEST_P(ingress_leaving, requests_under_way_are_answered) {
  std::promise<void> asked;
  std::promise<void> go_on;
  origin slow{[&](peer& p) {
    p.until("\r\n\r\n");
    asked.set_value();
    go_on.get_future().wait();
    p.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
  }};
  a.port = slow.port;
  start(revision(1, change::none));
  auto p = peer::to(port);
  p.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  asked.get_future().wait();
  publish(revision(2, what()));
  EXPECT_EQ(who("x"), "b");
  go_on.set_value();
  EXPECT_EQ(body(p.all()), "done");
}

INSTANTIATE_TEST_SUITE_P(backends, ingress_leaving, ::testing::Values(0, 1), [](const auto& one) {
  return one.param == 0 ? "that_drain" : "that_are_removed";
});

} // namespace
} // namespace marchproxy::relay::testing

// SPDX-License-Identifier: AGPL-3.0-only
// How much may be under way at a backend, and how much of it may be retries (POL-5).
#include "nodes/relay/ingress_fixture.test.hpp"

#include <nlohmann/json.hpp>

#include <future>

namespace marchproxy::relay::testing {
namespace {

/// Answers when it is let to.
class slow_backend {
public:
  explicit slow_backend(const std::string& name)
    : server_([this, name](peer& p) {
        while (!p.until("\r\n\r\n").empty()) {
          ++asked;
          open_.wait();
          if (!p.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name))
            return;
        }
      }) {}
  ~slow_backend() { let(); }
  void let() {
    if (!std::exchange(is_open_, true))
      gate_.set_value();
  }
  [[nodiscard]] std::uint16_t port() const { return server_.port; }

  std::atomic<int> asked{0};

private:
  bool is_open_ = false;
  std::promise<void> gate_;
  std::shared_future<void> open_{gate_.get_future()};
  origin server_;
};

class ingress_load : public ingress {
protected:
  peer ask() {
    auto p = peer::to(port);
    p.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return p;
  }
  std::uint64_t count(reason why) {
    return server->totals().reasons[static_cast<std::size_t>(why)];
  }
};

TEST_F(ingress_load, a_backend_that_is_full_is_passed_over_and_without_room_it_is_503) {
  slow_backend a{"a"};
  slow_backend b{"b"};
  r.route(port, {{add("a", a.port()), 0, 1}, {add("b", b.port()), 0, 1000}}).max_requests = 1;
  go();
  auto first = ask();
  ASSERT_TRUE(eventually([&] { return a.asked + b.asked == 1; }));
  auto second = ask();
  ASSERT_TRUE(eventually([&] { return a.asked == 1 && b.asked == 1; })) << "weights or not";
  const auto refused = get("x");
  EXPECT_EQ(status(refused), "HTTP/1.1 503") << refused;
  EXPECT_EQ(nlohmann::json::parse(body(refused))["reason"], "overloaded");
  EXPECT_EQ(count(reason::overloaded), 1U);
  a.let();
  b.let();
  EXPECT_EQ(status(first.all()), "HTTP/1.1 200");
  EXPECT_EQ(status(second.all()), "HTTP/1.1 200");
  EXPECT_EQ(status(get("x")), "HTTP/1.1 200") << "there is room again";
}

TEST_F(ingress_load, what_cannot_be_reached_is_no_overload_but_a_full_one_beside_it_is) {
  slow_backend a{"a"};
  const auto dead = add("dead", closed_port());
  auto& route = r.route(port, {{add("a", a.port()), 0, 1000}, {dead, 0, 1}});
  route.max_requests = 1;
  r.route(port, {{dead, 0, 1}}).host = "dead.test";
  go();
  auto first = ask();
  ASSERT_TRUE(eventually([&] { return a.asked == 1; }));
  EXPECT_EQ(nlohmann::json::parse(body(get("dead.test")))["reason"], "connect_failed");
  EXPECT_EQ(nlohmann::json::parse(body(get("x")))["reason"], "overloaded");
  a.let();
  EXPECT_EQ(status(first.all()), "HTTP/1.1 200");
}

TEST_F(ingress_load, a_tcp_connection_is_under_way_while_it_is_open) {
  origin echoes{echo};
  auto& tcp = r.route(port, {{add("echoes", echoes.port), 0, 1}});
  tcp.protocol = model::route_protocol::tcp;
  tcp.max_requests = 1;
  go();
  auto first = peer::to(port);
  first.send("a");
  EXPECT_EQ(first.exactly(1), "a");
  EXPECT_EQ(peer::to(port).all(), "");
  EXPECT_EQ(count(reason::overloaded), 1U);
  first.send("b");
  EXPECT_EQ(first.exactly(1), "b");
  first.close();
  ASSERT_TRUE(eventually([&] { return server->totals().open == 0; }));
  auto second = peer::to(port);
  second.send("c");
  EXPECT_EQ(second.exactly(1), "c");
}

TEST_F(ingress_load, retries_are_few_when_everything_fails_at_once) {
  constexpr int clients = 5;
  std::atomic<int> heads{0};
  origin rude{[&](peer& p) {
    p.until("\r\n\r\n");
    ++heads;
    eventually([&] { return heads == clients; });
  }}; // and closes without an answer
  slow_backend b{"b"};
  auto& route = r.route(port, {{add("rude", rude.port), 0, 1000}, {add("b", b.port()), 0, 1}});
  route.retry_budget = 0;
  go();
  std::vector<peer> asking;
  for (int i = 0; i < clients; ++i)
    asking.push_back(ask());
  ASSERT_TRUE(eventually([&] {
    return server->totals().retries == routing::retry_budget::floor
           && server->totals().retries_refused == clients - routing::retry_budget::floor;
  }));
  b.let();
  int well = 0;
  for (auto& each : asking) {
    const auto answer = each.all();
    if (status(answer) == "HTTP/1.1 200")
      ++well;
    else
      EXPECT_EQ(nlohmann::json::parse(body(answer))["reason"], "upstream_failed") << answer;
  }
  EXPECT_EQ(well, 3);
  EXPECT_EQ(b.asked, 3);
}

} // namespace
} // namespace marchproxy::relay::testing

// SPDX-License-Identifier: AGPL-3.0-only
// Limits of mappings and services by every way in (POL-7). The rates are so slow that only bursts
// pass while a test runs.
#include "nodes/net/datagram.hpp"
#include "nodes/relay/forward_fixture.test.hpp"
#include "nodes/relay/ingress_fixture.test.hpp"
#include "nodes/wire/socks5.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::relay::testing {
namespace {

using limiting::limit_kind;
using limiting::subject;

const subject mapping_1{subject::kind::mapping, 1};
const subject service_2{subject::kind::service, 2};

model::rate_limit only(std::uint64_t burst) {
  return {1, 86'400, burst};
}
model::limits connections(std::uint64_t burst) {
  model::limits out;
  out.connections = only(burst);
  return out;
}
model::limits requests(std::uint64_t burst) {
  model::limits out;
  out.requests = only(burst);
  return out;
}
model::limits at_once(std::uint32_t most) {
  model::limits out;
  out.max_connections = most;
  return out;
}

/// `client` (1), `origin` (2) and what client may do (mapping 1).
rules limited(const std::optional<model::limits>& of_mapping,
              const std::optional<model::limits>& of_service = {},
              std::uint64_t revision = 1) {
  rules r{revision};
  auto client = r.service("client", "127.0.0.0/8");
  auto origin = r.service("origin", "127.0.0.1/32");
  r.mapping(client, origin).limits = of_mapping;
  r.at(origin).limits = of_service;
  return r;
}

class relay_limits : public forwarding {
protected:
  std::uint64_t refused(const subject& of, limit_kind what) {
    const auto all = server->totals().limited;
    const auto found = all.find({of, what});
    return found == all.end() ? 0 : found->second;
  }
  /// Whether CONNECT from @p source came to a tunnel, which is kept.
  bool tunnel(const char* source = "127.0.0.1") {
    auto p = dial(source);
    const auto open = connect(p, at(echo_origin.port)).starts_with("HTTP/1.1 200");
    kept.push_back(std::move(p));
    return open;
  }
  /// The status of a GET on @p p.
  std::string get(peer& p, const std::string& path = "/") {
    p.send("GET " + url(mirror_origin, path) + " HTTP/1.1\r\nHost: x\r\n\r\n");
    last = answer(p);
    return last.first.substr(9, 3);
  }

  origin echo_origin{echo};
  std::vector<peer> kept;
  std::pair<std::string, std::string> last;
};

TEST_F(relay_limits, connect_is_refused_by_429_that_says_whose_limit_it_is) {
  start(limited(connections(3)).snapshot());
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(tunnel());
  auto p = dial();
  const auto head = connect(p, at(echo_origin.port));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 429 ")) << head;
  const auto after = head.find("\r\nRetry-After: ");
  ASSERT_NE(after, std::string::npos) << head;
  EXPECT_GT(std::stol(head.substr(after + 15)), 86'000);
  EXPECT_NE(head.find("\r\nX-MarchProxy-Reason: rate_limited\r\n"), std::string::npos) << head;
  const auto body = nlohmann::json::parse(read_body(p, head));
  EXPECT_EQ(body["reason"], "rate_limited");
  EXPECT_EQ(body["error"]["code"], "limit_reached");
  EXPECT_EQ(body["mapping"]["id"], 1);
  EXPECT_EQ(
    body["limit"],
    nlohmann::json::parse(R"({"of":"mapping","id":1,"name":"mapping 1","limit":"connections"})"));
  const auto told = record();
  EXPECT_FALSE(told.allowed);
  EXPECT_EQ(told.why, reason::rate_limited);
  EXPECT_EQ(told.limit, "mapping.1.connections");
  EXPECT_EQ(told.mapping, mapping_id{1});
  EXPECT_EQ(refused(mapping_1, limit_kind::connections), 1U);
  EXPECT_EQ(server->totals().denied, 1U);
}

TEST_F(relay_limits, all_workers_together_let_no_more_pass) {
  settings.workers = 4;
  start(limited(connections(20)).snapshot());
  std::atomic<int> open{0};
  std::vector<std::thread> clients;
  for (int t = 0; t < 4; ++t)
    clients.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        auto p = dial();
        open += connect(p, at(echo_origin.port)).starts_with("HTTP/1.1 200") ? 1 : 0;
      }
    });
  for (auto& c : clients)
    c.join();
  EXPECT_EQ(open, 20);
  EXPECT_EQ(refused(mapping_1, limit_kind::connections), 60U);
}

TEST_F(relay_limits, requests_count_one_by_one_and_the_connection_goes_on) {
  start(limited(requests(5)).snapshot());
  auto p = dial();
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(get(p), "200");
  EXPECT_EQ(get(p), "429") << last.first;
  EXPECT_EQ(nlohmann::json::parse(last.second)["limit"]["limit"], "requests");
  EXPECT_EQ(get(p), "429");
  EXPECT_EQ(mirror_origin.connections, 1);
  auto q = dial();
  EXPECT_EQ(get(q), "429");
  EXPECT_TRUE(tunnel()); // no request
  EXPECT_EQ(refused(mapping_1, limit_kind::requests), 3U);
}

TEST_F(relay_limits, a_kept_connection_to_the_origin_is_no_new_one) {
  start(limited(connections(1)).snapshot());
  auto p = dial();
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(get(p), "200");
  EXPECT_FALSE(tunnel());
}

TEST_F(relay_limits, a_service_has_limits_of_what_goes_to_it) {
  start(limited(connections(9), connections(2)).snapshot());
  EXPECT_TRUE(tunnel());
  EXPECT_TRUE(tunnel());
  auto p = dial();
  const auto head = connect(p, at(echo_origin.port));
  const auto body = nlohmann::json::parse(read_body(p, head));
  EXPECT_EQ(body["limit"], nlohmann::json::parse(
                             R"({"of":"service","id":2,"name":"origin","limit":"connections"})"));
  EXPECT_EQ(refused(service_2, limit_kind::connections), 1U);
}

TEST_F(relay_limits, each_source_has_its_own_where_the_limit_says_so) {
  auto limit = connections(2);
  limit.per = model::limit_scope::source;
  start(limited(limit).snapshot());
  for (const auto* source : {"127.0.0.1", "127.0.0.2", "127.0.0.3"}) {
    EXPECT_TRUE(tunnel(source));
    EXPECT_TRUE(tunnel(source));
    EXPECT_FALSE(tunnel(source));
  }
}

TEST_F(relay_limits, a_place_among_the_open_ones_is_free_when_a_flow_ends) {
  start(limited(at_once(2)).snapshot());
  EXPECT_TRUE(tunnel());
  EXPECT_TRUE(tunnel());
  EXPECT_FALSE(tunnel());
  kept.front().close();
  ASSERT_TRUE(eventually([&] { return records().size() == 2; }));
  EXPECT_TRUE(tunnel());
  EXPECT_FALSE(tunnel());
  EXPECT_EQ(refused(mapping_1, limit_kind::max_connections), 2U);
}

TEST_F(relay_limits, a_request_is_open_while_it_is_under_way) {
  start(limited(at_once(1)).snapshot());
  auto p = dial();
  EXPECT_EQ(get(p), "200");
  EXPECT_EQ(get(p), "200");
  EXPECT_TRUE(tunnel());
  EXPECT_EQ(get(p), "429");
  EXPECT_NE(last.first.find("\r\nRetry-After: 1\r\n"), std::string::npos) << last.first;
}

TEST_F(relay_limits, what_fails_to_connect_gives_its_place_back) {
  start(limited(at_once(1)).snapshot());
  const auto nobody = closed_port();
  for (int i = 0; i < 3; ++i) {
    auto p = dial();
    EXPECT_TRUE(connect(p, at(nobody)).starts_with("HTTP/1.1 502"));
  }
  EXPECT_TRUE(tunnel());
}

TEST_F(relay_limits, what_is_used_up_stays_so_over_a_revision_that_does_not_change_the_limit) {
  auto first = limited(connections(2));
  start(first.snapshot());
  EXPECT_TRUE(tunnel());
  auto second = limited(connections(2), {}, 2);
  second.meters = first.meters;
  publish(second.snapshot());
  EXPECT_TRUE(tunnel());
  EXPECT_FALSE(tunnel());
  auto third = limited(connections(3), {}, 3);
  third.meters = first.meters;
  publish(third.snapshot());
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(tunnel());
  EXPECT_FALSE(tunnel());
}

TEST_F(relay_limits, tunnels_that_live_count_under_a_limit_that_comes_later) {
  start(limited({}).snapshot());
  EXPECT_TRUE(tunnel());
  EXPECT_TRUE(tunnel());
  publish(limited(at_once(2), {}, 2).snapshot());
  EXPECT_FALSE(tunnel());
  kept[0].send("on");
  EXPECT_EQ(kept[0].exactly(2), "on");
  kept[0].close();
  ASSERT_TRUE(eventually([&] { return records().size() == 2; }));
  EXPECT_TRUE(tunnel());
  publish(limited({}, {}, 3).snapshot());
  EXPECT_TRUE(tunnel());
}

TEST_F(relay_limits, socks_answers_not_allowed) {
  start(limited(connections(1)).snapshot());
  const auto ask = [&](peer& p) {
    p.send("\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01"s
           + static_cast<char>(echo_origin.port >> 8) + static_cast<char>(echo_origin.port & 0xff));
    return static_cast<int>(p.exactly(12).at(3));
  };
  auto p = dial();
  EXPECT_EQ(ask(p), 0);
  auto q = dial();
  EXPECT_EQ(ask(q), 2);
  EXPECT_EQ(q.all(), "");
  EXPECT_EQ(record().why, reason::rate_limited);
}

/// True when a connection to @p port is reset, not closed: before it is known to stand, or after.
bool is_reset(std::uint16_t port) {
  net::unique_fd fd{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const auto at = net::to_socket_address({*parse_ip("127.0.0.1"), port});
  char c = 0;
  return (::connect(fd.get(), at.get(), at.size) != 0 || recv(fd.get(), &c, 1, 0) < 0)
         && errno == ECONNRESET;
}

TEST_F(relay_limits, a_listener_resets_who_comes_too_often) {
  auto r = limited(connections(1));
  const auto listening = free_port();
  auto& service = r.at(service_id{2});
  service.listen_port = listening;
  service.ports = model::port_set{{{echo_origin.port, echo_origin.port}}};
  start(r.snapshot());
  auto p = peer::to(listening);
  p.send("one");
  EXPECT_EQ(p.exactly(3), "one");
  EXPECT_TRUE(is_reset(listening));
  EXPECT_EQ(record().why, reason::rate_limited);
  EXPECT_EQ(record().via, entry::listener);
}

TEST_F(relay_limits, a_datagram_flow_is_a_connection) {
  start(limited(connections(1)).snapshot());
  auto first = *net::bind_udp({*parse_ip("127.0.0.1"), 0});
  auto second = *net::bind_udp({*parse_ip("127.0.0.1"), 0});
  auto client = *net::bind_udp({*parse_ip("127.0.0.1"), 0});
  auto control = dial();
  control.send("\x05\x01\0\x05\x03\0\x01\0\0\0\0\0\0"s);
  const auto reply = control.exactly(12);
  const auto relay_at = wire::socks5::parse_datagram("\0\0\0"s + reply.substr(5));
  ASSERT_TRUE(relay_at);
  const auto send = [&](int to) {
    const auto target = net::local_endpoint(to);
    const auto at =
      net::to_socket_address({*relay_at->target.host.address(), relay_at->target.port});
    const auto bytes =
      std::string{wire::socks5::datagram_head(target.address, target.port).view()} + "x";
    EXPECT_GT(sendto(client.get(), bytes.data(), bytes.size(), 0, at.get(), at.size), 0);
  };
  send(first.get());
  ASSERT_TRUE(eventually([&] { return server->totals().udp_up == 1; }));
  send(second.get());
  ASSERT_TRUE(eventually([&] { return server->totals().udp_dropped == 1; }));
  send(first.get());
  ASSERT_TRUE(eventually([&] { return server->totals().udp_up == 2; }));
  EXPECT_EQ(refused(mapping_1, limit_kind::connections), 1U);
}

class ingress_limits : public ingress {};

TEST_F(ingress_limits, requests_beyond_the_mappings_limit_get_429) {
  backend a{"a"};
  const auto to = r.service("a", "127.0.0.1", {}, a.port);
  r.mapping(model::select_all{}, to).limits = requests(3);
  r.route(port, {{to, 0, 1}});
  go();
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(status(get("a.test")), "HTTP/1.1 200");
  const auto answer = get("a.test");
  EXPECT_EQ(status(answer), "HTTP/1.1 429");
  EXPECT_NE(answer.find("\r\nRetry-After: "), std::string::npos) << answer;
  EXPECT_EQ(nlohmann::json::parse(body(answer))["reason"], "rate_limited");
}

TEST_F(ingress_limits, a_backend_beyond_its_limit_is_passed_over) {
  backend a{"a"};
  backend b{"b"};
  const auto to_a = add("a", a.port);
  const auto to_b = add("b", b.port);
  r.at(to_a).limits = requests(2);
  r.at(to_b).limits = requests(3);
  r.route(port, {{to_a, 0, 1}, {to_b, 0, 1}});
  go();
  std::string answered;
  for (int i = 0; i < 5; ++i)
    answered += who("x.test");
  std::sort(answered.begin(), answered.end());
  EXPECT_EQ(answered, "aabbb");
  EXPECT_EQ(status(get("x.test")), "HTTP/1.1 429");
}

TEST_F(ingress_limits, a_tcp_route_resets_who_comes_too_often) {
  origin behind{echo};
  const auto to = add("echo", behind.port);
  r.at(to).limits = connections(1);
  r.route(port, {{to, 0, 1}}).protocol = model::route_protocol::tcp;
  go();
  auto p = peer::to(port);
  p.send("one");
  EXPECT_EQ(p.exactly(3), "one");
  EXPECT_TRUE(is_reset(port));
  EXPECT_EQ(record().why, reason::rate_limited);
}

} // namespace
} // namespace marchproxy::relay::testing

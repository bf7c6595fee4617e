// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/udp_listener.hpp"

#include "nodes/relay/service_listeners.hpp"
#include "nodes/relay/udp_fixture.test.hpp"

#include <filesystem>
#include <iterator>
#include <set>

namespace marchproxy::relay {
namespace {

using namespace testing;

/// A service at the origin's address with a UDP listener, and whatever mapping a test wants.
class relay_udp_listener : public relaying {
protected:
  /// Speaks UDP only: the port that was free for UDP may be taken for TCP.
  service_id dns(rules& r, std::uint16_t port, const std::string& address = "127.0.0.1/32") {
    const auto out = r.service("dns", address, relay_.port, port);
    r.at(out).protocols = static_cast<model::protocol_set>(model::protocol::udp);
    return out;
  }
  /// @param client  whose datagrams are allowed; empty: nobody's
  rules listening(std::uint64_t revision = 1, const std::string& client = "127.0.0.0/8") {
    rules r{revision};
    service_ = dns(r, origin_.at.port);
    if (!client.empty())
      r.mapping(r.service("client", client), service_);
    else
      r.mapping(r.service("nobody", "192.0.2.1/32"), service_);
    return r;
  }
  /// Sends by the listener and back. @return where the origin saw it come from
  net::endpoint exchange(udp_peer& client, const std::string& text) {
    client.send(relay_, text);
    auto got = origin_.receive();
    EXPECT_TRUE(got);
    if (!got)
      return {};
    EXPECT_EQ(got->second, text);
    origin_.send(got->first, "re " + text);
    auto back = client.receive();
    EXPECT_TRUE(back);
    if (back) {
      EXPECT_EQ(back->second, "re " + text);
      EXPECT_EQ(back->first, relay_);
    }
    return got->first;
  }
  /// Datagrams of clients that the relay has taken so far.
  std::uint64_t taken() const {
    const auto totals = server->totals();
    return totals.udp_up + totals.udp_dropped;
  }
  std::uint64_t sessions() const { return server->totals().udp_sessions; }

  udp_peer origin_;
  udp_peer client_;
  net::endpoint relay_ = udp_peer{}.at; ///< was free a moment ago
  service_id service_;
};

TEST_F(relay_udp_listener, datagrams_go_both_ways_and_make_one_record) {
  settings.udp_idle_timeout = 100ms;
  start(listening().snapshot());
  EXPECT_EQ(problems(), std::vector<std::string>{});
  const auto from = exchange(client_, "one");
  EXPECT_EQ(exchange(client_, "two"), from);
  EXPECT_EQ(exchange(client_, ""), from);
  auto r = record();
  EXPECT_EQ(r.via, entry::listener);
  EXPECT_EQ(r.protocol, model::protocol::udp);
  EXPECT_EQ(r.source, client_.at);
  EXPECT_EQ(r.asked, at(origin_.at.port));
  EXPECT_EQ(r.address, origin_.at.address);
  EXPECT_EQ(r.port, origin_.at.port);
  EXPECT_EQ(r.mapping, mapping_id{1});
  EXPECT_EQ(r.why, reason::mapping_allow);
  EXPECT_EQ(r.bytes_up, 6U);
  EXPECT_EQ(r.bytes_down, 15U);
  EXPECT_GE(r.ended - r.started, 100ms);
  EXPECT_LT(r.ended - r.started, 5s);
  const auto totals = server->totals();
  EXPECT_EQ(totals.udp_up, 3U);
  EXPECT_EQ(totals.udp_down, 3U);
  EXPECT_EQ(totals.bytes_up, 6U);
  EXPECT_EQ(totals.udp_sessions, 0U);
  EXPECT_EQ(totals.active[static_cast<std::size_t>(entry::listener)], 0U);
}

TEST_F(relay_udp_listener, each_client_has_a_session_and_gets_its_own_answers) {
  start(listening().snapshot());
  udp_peer other;
  std::set<net::endpoint> seen{exchange(client_, "a"), exchange(other, "b")};
  EXPECT_EQ(seen.size(), 2U);
  EXPECT_EQ(sessions(), 2U);
  // Both at once, taken in one batch.
  for (int i = 0; i < 20; ++i) {
    client_.send(relay_, "c" + std::to_string(i));
    other.send(relay_, "o" + std::to_string(i));
  }
  for (int i = 0; i < 40; ++i) {
    auto got = origin_.receive();
    ASSERT_TRUE(got);
    origin_.send(got->first, got->second);
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(client_.receive()->second, "c" + std::to_string(i));
    EXPECT_EQ(other.receive()->second, "o" + std::to_string(i));
  }
  EXPECT_EQ(sessions(), 2U);
}

TEST_F(relay_udp_listener, bursts_arrive_whole_and_in_order_with_offload_and_without) {
  for (auto offload : {true, false}) {
    settings.udp_offload = offload;
    start(listening().snapshot());
    std::vector<std::string> sent;
    for (std::size_t i = 0; i < 200; ++i)
      sent.emplace_back(i % 7 == 0 ? i : 100, static_cast<char>('a' + i % 26));
    sent.emplace_back(65'507, 'z');
    for (const auto& each : sent)
      client_.send(relay_, each);
    net::endpoint from;
    for (const auto& each : sent) {
      auto got = origin_.receive();
      ASSERT_TRUE(got);
      EXPECT_EQ(got->second, each);
      from = got->first;
    }
    for (const auto& each : sent)
      origin_.send(from, each);
    for (const auto& each : sent)
      EXPECT_EQ(client_.receive()->second, each);
    EXPECT_TRUE(eventually([&] { return server->totals().udp_down == sent.size(); }));
    const auto totals = server->totals();
    EXPECT_EQ(totals.udp_up, sent.size());
    EXPECT_EQ(totals.bytes_up, totals.bytes_down);
    EXPECT_EQ(totals.udp_dropped, 0U);
    server.reset();
  }
}

TEST_F(relay_udp_listener, only_the_backend_that_was_asked_can_answer) {
  start(listening().snapshot());
  const auto from = exchange(client_, "hello");
  udp_peer stranger;
  stranger.send(from, "not asked for");
  EXPECT_FALSE(client_.receive(nothing_comes));
  exchange(client_, "still there");
}

TEST_F(relay_udp_listener, what_is_refused_makes_one_record_and_reaches_nobody) {
  settings.udp_idle_timeout = 200ms;
  start(listening(1, "").snapshot());
  for (int i = 0; i < 5; ++i)
    client_.send(relay_, "x");
  EXPECT_FALSE(origin_.receive(nothing_comes));
  EXPECT_EQ(record().why, reason::implicit_deny);
  EXPECT_EQ(server->totals().udp_dropped, 5U);
}

TEST_F(relay_udp_listener, a_mapping_that_wants_credentials_refuses) {
  settings.udp_idle_timeout = 100ms;
  rules r;
  r.mapping(r.service("client", "127.0.0.1/32"), dns(r, origin_.at.port)).auth_required = true;
  start(r.snapshot());
  client_.send(relay_, "x");
  EXPECT_FALSE(origin_.receive(nothing_comes));
  EXPECT_EQ(record().why, reason::auth_required);
}

TEST_F(relay_udp_listener, a_name_is_resolved_and_what_came_meanwhile_is_not_lost) {
  rules r;
  r.mapping(r.service("client", "127.0.0.1/32"), dns(r, origin_.at.port, "origin.test"))
    .allow_private = true;
  start(r.snapshot());
  client_.send(relay_, "one");
  client_.send(relay_, "two");
  EXPECT_EQ(origin_.receive()->second, "one");
  EXPECT_EQ(origin_.receive()->second, "two");
  exchange(client_, "three");
  server->stop(0ms);
  EXPECT_EQ(record().name, "origin.test");
  EXPECT_EQ(record().why, reason::shutting_down);
  EXPECT_EQ(record().bytes_up, 11U);
}

TEST_F(relay_udp_listener, listeners_are_of_services_that_speak_udp_and_nothing_forbids) {
  struct row {
    const char* what;
    std::function<void(model::service&, model::mapping&)> change;
    bool listens;
  };
  const auto udp = static_cast<model::protocol_set>(model::protocol::udp);
  const auto tcp = static_cast<model::protocol_set>(model::protocol::tcp);
  for (const auto& [what, change, listens] : std::initializer_list<row>{
         {"any", [](auto&, auto&) {}, true},
         {"udp", [&](auto&s, auto&m) { s.protocols = m.protocols = udp; }, true},
         {"a tcp service", [&](auto&s, auto&) { s.protocols = tcp; }, false},
         {"only tcp is mapped", [&](auto&, auto&m) { m.protocols = tcp; }, false},
         {"all is denied", [](auto&, auto&m) { m.action = model::mapping_action::deny; }, false},
         {"a header is wanted", [](auto&s, auto&) { s.proxy_protocol = model::proxy_header::v2; },
          false},
         {"inactive", [](auto&s, auto&) { s.active = false; }, false},
       }) {
    rules r;
    const auto to = r.service("dns", "127.0.0.1/32", 7001, origin_.at.port);
    auto& m = r.mapping(r.service("client", "127.0.0.1/32"), to);
    change(r.at(to), m);
    const auto wanted = wanted_udp_listeners(r.snapshot()->program->rules(), {},
                                             [](const std::string& text) { FAIL() << text; });
    ASSERT_EQ(wanted.size(), listens ? 1U : 0U) << what;
    for (const auto& [port, target] : wanted)
      EXPECT_EQ(target.to.text(), at(origin_.at.port)) << what;
  }
}

TEST_F(relay_udp_listener, the_port_of_the_earlier_proxies_leads_to_the_first_destination_of_udp) {
  settings.udp_port = relay_.port;
  const auto udp = static_cast<model::protocol_set>(model::protocol::udp);
  rules r;
  const auto client = r.service("client", "127.0.0.1/32");
  r.mapping(client, r.service("not named", "127.0.0.1/32", {}, 1));
  r.mapping(client, r.service("denied", "127.0.0.1/32", {}, 2), model::mapping_action::deny)
    .protocols = udp;
  r.mapping(client, r.service("range", "10.0.0.0/8", {}, 3)).protocols = udp;
  r.mapping(client, r.service("origin", "127.0.0.1/32", {}, origin_.at.port)).protocols = udp;
  r.mapping(client, r.service("later", "127.0.0.1/32", {}, 4)).protocols = udp;
  start(r.snapshot());
  exchange(client_, "hello");
  server.reset();
  settings.udp_port = 0;
  start(r.snapshot());
  udp_peer takes_the_port{"127.0.0.1", relay_.port};
}

TEST_F(relay_udp_listener, a_port_that_is_taken_is_told) {
  udp_peer in_the_way{"127.0.0.1", relay_.port}; // without SO_REUSEPORT
  start(listening().snapshot());
  ASSERT_EQ(problems().size(), 1U);
  EXPECT_NE(problems()[0].find(std::to_string(relay_.port)), std::string::npos);
}

TEST_F(relay_udp_listener, a_new_revision_cuts_what_it_refuses_and_allows_what_was_refused) {
  start(listening(1).snapshot());
  exchange(client_, "one");
  publish(listening(2, "").snapshot());
  EXPECT_EQ(record().why, reason::revision_changed);
  client_.send(relay_, "two");
  EXPECT_FALSE(origin_.receive(nothing_comes));
  publish(listening(3).snapshot());
  EXPECT_TRUE(eventually([&] { return records().size() == 2; }));
  EXPECT_EQ(records()[1].why, reason::implicit_deny);
  exchange(client_, "three");
}

TEST_F(relay_udp_listener, a_revision_that_changes_nothing_for_it_leaves_a_session_alone) {
  start(listening(1).snapshot());
  const auto from = exchange(client_, "one");
  publish(listening(2).snapshot());
  EXPECT_EQ(exchange(client_, "two"), from);
  EXPECT_TRUE(records().empty());
}

TEST_F(relay_udp_listener, a_listener_goes_with_its_service_and_follows_its_target) {
  start(listening(1).snapshot());
  exchange(client_, "one");
  udp_peer second;
  rules r{2};
  r.mapping(r.service("client", "127.0.0.1/32"), dns(r, second.at.port));
  publish(r.snapshot());
  EXPECT_EQ(record().why, reason::revision_changed);
  client_.send(relay_, "two");
  EXPECT_EQ(second.receive()->second, "two");
  publish(allow_loopback(3).snapshot());
  EXPECT_TRUE(eventually([&] { return records().size() == 2; }));
  EXPECT_EQ(sessions(), 0U);
  udp_peer takes_the_port{"127.0.0.1", relay_.port}; // nobody has it any more
}

TEST_F(relay_udp_listener, a_source_and_all_together_have_their_caps) {
  settings.max_udp_sessions = 3;
  settings.max_udp_sessions_of_source = 2;
  start(listening().snapshot());
  udp_peer a{"127.0.0.5"}, b{"127.0.0.5"}, c{"127.0.0.5"};
  const auto first = exchange(a, "a");
  exchange(b, "b");
  exchange(c, "c"); // a's session ended for it
  EXPECT_EQ(sessions(), 2U);
  EXPECT_EQ(server->totals().udp_evicted, 1U);
  EXPECT_NE(exchange(a, "a again"), first); // and b's for this one
  udp_peer d{"127.0.0.2"}, e{"127.0.0.3"};
  exchange(d, "d");
  EXPECT_EQ(sessions(), 3U);
  // One answer makes no conversation: c's session, silent for longest, ends for a newcomer.
  exchange(e, "e");
  EXPECT_EQ(sessions(), 3U);
  EXPECT_EQ(server->totals().udp_evicted, 3U);
  // These do, and none of them ends for another.
  for (auto* each : {&a, &d, &e})
    exchange(*each, "again");
  udp_peer newcomer{"127.0.0.4"};
  newcomer.send(relay_, "nothing");
  EXPECT_FALSE(origin_.receive(nothing_comes));
  EXPECT_EQ(server->totals().udp_dropped, 1U);
  exchange(d, "as ever");
}

/// Sends one datagram to @p to from each of @p count addresses of 127.1.0.0/16, as forged ones
/// come.
void flood(const net::endpoint& to, std::uint32_t count) {
  auto wide = net::bind_udp({ip_address::v4(0), 0});
  ASSERT_TRUE(wide);
  const auto address = net::to_socket_address(to);
  net::run_writer writer;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto from = ip_address::v4(0x7f010000U + i);
    writer.begin({.fd = wide->get(), .to = &address, .from = &from});
    writer.add("flood", 0);
    ASSERT_EQ(writer.finish().datagrams, 1U);
  }
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all{"/proc/self/fd"};
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

TEST_F(relay_udp_listener, a_flood_of_sources_stays_within_the_cap_and_spares_conversations) {
  for (auto allowed : {true, false}) {
    settings.max_udp_sessions = 100;
    auto r = listening(1, allowed ? "127.0.0.0/8" : "127.0.0.1/32");
    start(r.snapshot());
    const auto from = exchange(client_, "before");
    exchange(client_, "and once more");
    const auto descriptors = open_descriptors();
    flood(relay_, 10'000);
    // What the kernel had no room for never came; the rest passes by and by.
    for (std::uint64_t before = 0, now = taken(); before != now; now = taken()) {
      before = now;
      while (origin_.receive(nothing_comes)) {
      }
    }
    EXPECT_EQ(exchange(client_, "after"), from);
    const auto totals = server->totals();
    EXPECT_EQ(totals.udp_sessions, 100U);
    EXPECT_GT(totals.udp_evicted, 900U);
    EXPECT_LE(open_descriptors(), descriptors + 100);
    server.reset();
  }
}

TEST_F(relay_udp_listener, that_nobody_listens_there_is_in_the_record) {
  settings.udp_idle_timeout = 200ms;
  auto r = listening();
  const auto closed = origin_.at.port;
  origin_ = udp_peer{}; // gives the port up
  start(r.snapshot());
  client_.send(relay_, "x");
  const auto first = record();
  EXPECT_TRUE(first.allowed);
  EXPECT_EQ(first.why, reason::connect_failed);
  EXPECT_EQ(first.port, closed);
  EXPECT_EQ(server->totals().upstream_failures, 1U);
}

TEST_F(relay_udp_listener, a_target_that_goes_away_is_in_the_record_unless_it_comes_back) {
  settings.udp_idle_timeout = 300ms;
  start(listening().snapshot());
  const auto at = origin_.at;
  exchange(client_, "one");
  origin_ = udp_peer{};
  client_.send(relay_, "to nobody");
  EXPECT_EQ(record().why, reason::upstream_failed);
  EXPECT_EQ(record().bytes_up, 12U);
  udp_peer again{"127.0.0.1", at.port};
  udp_peer other;
  other.send(relay_, "two");
  auto got = again.receive();
  ASSERT_TRUE(got);
  again.send(got->first, "back");
  EXPECT_EQ(other.receive()->second, "back");
  EXPECT_TRUE(eventually([&] { return records().size() == 2; }));
  EXPECT_EQ(records()[1].why, reason::mapping_allow);
}

TEST_F(relay_udp_listener, a_listener_that_leads_to_itself_does_not_run_in_circles) {
  settings.udp_idle_timeout = 200ms;
  rules r;
  r.mapping(r.service("client", "127.0.0.0/8"), dns(r, relay_.port));
  start(r.snapshot());
  client_.send(relay_, "x");
  EXPECT_EQ(record().why, reason::connect_failed);
  EXPECT_EQ(server->totals().udp_up, 0U);
}

TEST_F(relay_udp_listener, listeners_that_lead_to_each_other_come_to_an_end) {
  settings.max_udp_sessions_of_source = 20;
  udp_peer free_port;
  const auto second = free_port.at.port;
  free_port = udp_peer{};
  rules r;
  const auto one = dns(r, second);
  const auto other = r.service("other", "127.0.0.1/32", second, relay_.port);
  r.at(other).protocols = static_cast<model::protocol_set>(model::protocol::udp);
  const auto client = r.service("client", "127.0.0.0/8");
  r.mapping(client, one);
  r.mapping(client, other);
  start(r.snapshot());
  EXPECT_EQ(problems(), std::vector<std::string>{});
  udp_peer elsewhere{"127.0.0.5"};
  elsewhere.send(relay_, "round and round");
  EXPECT_TRUE(eventually([&] { return server->totals().udp_dropped == 1; }));
  EXPECT_EQ(sessions(), 41U);
  EXPECT_EQ(server->totals().udp_up, 41U);
}

TEST_F(relay_udp_listener, limits_hold_for_flows_and_bytes) {
  settings.udp_idle_timeout = 100ms;
  auto r = listening();
  auto& limits = r.at(service_).limits.emplace();
  limits.max_connections = 1;
  limits.bytes = model::rate_limit{.rate = 1, .interval = 3600, .burst = 10};
  start(r.snapshot());
  client_.send(relay_, "12345");
  client_.send(relay_, "67890x");
  client_.send(relay_, "67890");
  EXPECT_EQ(origin_.receive()->second, "12345");
  EXPECT_EQ(origin_.receive()->second, "67890");
  udp_peer other;
  other.send(relay_, "y");
  EXPECT_FALSE(origin_.receive(nothing_comes));
  ASSERT_TRUE(eventually([&] { return records().size() == 2; }));
  std::set<reason> why{records()[0].why, records()[1].why};
  EXPECT_EQ(why, (std::set{reason::mapping_allow, reason::rate_limited}));
  EXPECT_EQ(server->totals().udp_dropped, 2U);
}

TEST_F(relay_udp_listener, of_an_address_for_all_answers_come_from_where_the_client_sent) {
  settings.service_listen = *parse_ip("0.0.0.0");
  start(listening().snapshot());
  for (auto address : {"127.0.0.1", "127.0.0.7"}) {
    relay_.address = *parse_ip(address);
    exchange(client_, address);
  }
  EXPECT_EQ(sessions(), 2U);
}

TEST_F(relay_udp_listener,
       clients_over_ipv6_reach_a_target_over_ipv4_with_the_longest_that_it_takes) {
  settings.service_listen = *parse_ip("::");
  relay_.address = *parse_ip("::1");
  start(listening(1, "::1/128").snapshot());
  udp_peer client{"::1"};
  exchange(client, "hello");
  client.send(relay_, std::string(65'527, 'x')); // fits into IPv6's packets, not into IPv4's
  client.send(relay_, std::string(65'507, 'y'));
  auto got = origin_.receive();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->second, std::string(65'507, 'y'));
  EXPECT_TRUE(eventually([&] { return server->totals().udp_dropped == 1; }));
  exchange(client, "as ever");
}

TEST_F(relay_udp_listener, a_successor_takes_the_socket_and_what_was_asked_is_still_answered) {
  settings.udp_idle_timeout = 300ms;
  settings.workers = 2;
  start(listening().snapshot());
  client_.send(relay_, "asked before");
  const auto asked = origin_.receive();
  ASSERT_TRUE(asked);
  auto next = relay_server::start(settings, {}, server->listening());
  ASSERT_TRUE(next) << to_string(next.error());
  (*next)->publish(listening().snapshot());
  ASSERT_TRUE(eventually([&] { return (*next)->in_force(); }));
  server->retire(60s);
  ASSERT_TRUE(eventually([&] {
    udp_peer probe;
    probe.send(relay_, "probe");
    return origin_.receive() && (*next)->totals().udp_up > 0;
  }));
  origin_.send(asked->first, "answered by the old one");
  EXPECT_EQ(client_.receive()->second, "answered by the old one");
  const auto before = (*next)->totals().udp_sessions;
  const auto from = exchange(client_, "and by the new one");
  EXPECT_NE(from, asked->first);
  EXPECT_EQ((*next)->totals().udp_sessions, before + 1);
  EXPECT_TRUE(eventually([&] { return server->drained(); }));
  exchange(client_, "after the old one");
  (*next)->stop(0ms);
}

} // namespace
} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
// Names that the relay learns from a name server (POL-6).
#include "nodes/net/name_server.test.hpp"
#include "nodes/relay/relay_fixture.test.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;

class relay_leases : public relaying {
protected:
  relay_leases() : loop_(*net::event_loop::create()), names_(*loop_) {
    settings.resolver.servers = names_.address();
    settings.resolver.timeout = 5s;
    settings.resolver.leases = store;
  }
  ~relay_leases() override {
    server.reset();
    loop_->stop();
  }

  void start_with_names(std::shared_ptr<const policy_snapshot> snapshot) {
    thread_ = std::jthread{[this] { loop_->run(); }};
    start(std::move(snapshot));
  }
  /// In the name server's thread.
  template <class Change>
  void at_name_server(Change change) {
    std::atomic<bool> done{false};
    loop_->post([&] {
      change(names_);
      done = true;
    });
    ASSERT_TRUE(eventually([&] { return done.load(); }));
  }
  std::size_t times_asked(const std::string& name) {
    std::size_t out = 0;
    at_name_server([&](const net::testing::name_server& names) { out = names.times_asked(name); });
    return out;
  }
  void lead(const std::string& name, const std::string& address, std::uint32_t ttl) {
    at_name_server([&](net::testing::name_server& names) { names.table[name] = {{address}, ttl}; });
  }
  decision_record last_of(std::size_t n) {
    EXPECT_TRUE(eventually([&] { return records().size() >= n; }));
    return records().empty() ? decision_record{} : records().back();
  }

  std::shared_ptr<net::lease_store> store = std::make_shared<net::lease_store>(net::lease_terms{});

private:
  std::unique_ptr<net::event_loop> loop_;
  net::testing::name_server names_;
  std::jthread thread_;
};

/// `client` may reach names under wild.test, those in private ranges too.
rules allow_names(std::uint64_t revision = 1) {
  rules r{revision};
  auto client = r.service("client", "127.0.0.1/32");
  r.mapping(client, r.service("names", "*.wild.test")).allow_private = true;
  return r;
}

TEST_F(relay_leases, are_used_and_told) {
  origin to{echo};
  start_with_names(allow_names().snapshot());
  lead("n.wild.test", "127.0.0.1", 300);
  for (std::size_t n = 1; n <= 3; ++n) {
    auto client = dial();
    EXPECT_TRUE(connect(client, at(to.port, "n.wild.test")).starts_with("HTTP/1.1 200"));
    client.close();
    auto told = last_of(n);
    EXPECT_EQ(told.name, "n.wild.test");
    EXPECT_EQ(told.address, parse_ip("127.0.0.1"));
    ASSERT_TRUE(told.lease_ends);
    EXPECT_GT(*told.lease_ends, told.started + 200s);
    EXPECT_LT(*told.lease_ends, told.started + 301s);
  }
  EXPECT_EQ(times_asked("n.wild.test"), 1U);
  auto sum = server->totals().lookups;
  EXPECT_EQ(sum.asked, 1U);
  EXPECT_EQ(sum.leased, 2U);
  EXPECT_EQ(sum.leases, 1U);
}

TEST_F(relay_leases, are_no_verdicts) {
  origin to{echo};
  start_with_names(allow_names().snapshot());
  lead("n.wild.test", "127.0.0.1", 300);
  auto first = dial();
  EXPECT_TRUE(connect(first, at(to.port, "n.wild.test")).starts_with("HTTP/1.1 200"));
  auto stricter = allow_names(2);
  stricter
    .mapping(service_id{1}, stricter.service("no", "127.0.0.1/32"), model::mapping_action::deny)
    .priority = 1;
  publish(stricter.snapshot());
  auto second = dial();
  EXPECT_TRUE(connect(second, at(to.port, "n.wild.test")).starts_with("HTTP/1.1 403"));
  auto told = last_of(2);
  EXPECT_EQ(told.why, reason::mapping_deny);
  EXPECT_EQ(told.lease_ends, std::nullopt); // it was not connected to
  EXPECT_EQ(times_asked("n.wild.test"), 1U);
}

TEST_F(relay_leases, an_answer_with_a_ttl_of_0_is_judged_and_not_kept) {
  origin to{echo};
  auto r = allow_names();
  r.mapping(service_id{1}, r.service("elsewhere", "127.0.0.9/32"), model::mapping_action::deny)
    .priority = 1;
  start_with_names(r.snapshot());
  for (auto flip = 0; flip < 50; ++flip) {
    const auto good = flip % 2 == 0;
    lead("flip.wild.test", good ? "127.0.0.1" : "127.0.0.9", 0);
    auto client = dial();
    EXPECT_TRUE(connect(client, at(to.port, "flip.wild.test"))
                  .starts_with(good ? "HTTP/1.1 200" : "HTTP/1.1 403"));
  }
  EXPECT_EQ(to.connections, 25);
  EXPECT_EQ(server->totals().lookups.leases, 0U);
}

TEST_F(relay_leases, all_workers_share_what_one_learnt) {
  settings.workers = 3;
  origin to{echo};
  start_with_names(allow_names().snapshot());
  lead("n.wild.test", "127.0.0.1", 300);
  for (auto n = 0; n < 30; ++n) {
    auto client = dial();
    EXPECT_TRUE(connect(client, at(to.port, "n.wild.test")).starts_with("HTTP/1.1 200"));
  }
  EXPECT_EQ(times_asked("n.wild.test"), 1U);
}

TEST_F(relay_leases, serve_past_their_end_while_no_server_answers_if_asked_to) {
  store = std::make_shared<net::lease_store>(net::lease_terms{.stale = 60s});
  settings.resolver.leases = store;
  settings.resolver.timeout = 50ms;
  origin to{echo};
  start_with_names(allow_names().snapshot());
  at_name_server([](net::testing::name_server& names) { names.silent = true; });
  store->put("n.wild.test", {{*parse_ip("127.0.0.1")}, net::clock::now() - 1s, wall_now() - 1s});
  auto client = dial();
  EXPECT_TRUE(connect(client, at(to.port, "n.wild.test")).starts_with("HTTP/1.1 200"));
  client.close();
  auto told = last_of(1);
  ASSERT_TRUE(told.lease_ends);
  EXPECT_LT(*told.lease_ends, told.started);
  EXPECT_EQ(server->totals().lookups.stale, 1U);
  EXPECT_EQ(server->totals().lookups.failures, 1U);
}

} // namespace
} // namespace marchproxy::relay

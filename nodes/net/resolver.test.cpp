// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/resolver.hpp"

#include "nodes/net/name_server.test.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

namespace marchproxy::net {
namespace {

using namespace std::chrono_literals;
using testing::name_server;

class resolving : public ::testing::Test {
protected:
  explicit resolving(lease_terms terms = {}) : store(std::make_shared<lease_store>(terms)) {
    auto created = event_loop::create();
    EXPECT_TRUE(created);
    loop = std::move(*created);
    server = std::make_unique<name_server>(*loop);
    hosts = std::filesystem::temp_directory_path() / ("hosts_" + std::to_string(getpid()));
    write_hosts("# comment\n10.9.8.7 Fixed.test alias.test # more\n::1 fixed.test\nbad line\n");
    under_test = another();
  }
  ~resolving() override { std::filesystem::remove(hosts); }

  /// A resolver of another worker, as it were.
  std::unique_ptr<resolver> another() {
    resolver_options options;
    options.hosts_path = hosts;
    options.servers = server->address();
    options.timeout = 100ms;
    options.tries = 1;
    options.leases = store;
    auto made = resolver::create(*loop, options);
    EXPECT_TRUE(made);
    return std::move(*made);
  }

  void write_hosts(const std::string& text) { std::ofstream{hosts} << text; }

  resolve_result ask(std::string_view name) { return ask(*under_test, name); }
  resolve_result ask(resolver& whom, std::string_view name) {
    resolution question;
    std::optional<resolve_result> answer;
    whom.resolve(name, question, [&](resolve_result r) { answer = std::move(r); });
    EXPECT_FALSE(answer) << "answered from within resolve()";
    auto deadline = clock::now() + 5s;
    while (!answer && clock::now() < deadline)
      loop->run_once(50ms);
    EXPECT_TRUE(answer);
    return answer.value_or(fail(errc::internal, "no answer"));
  }

  std::vector<std::string> texts(const resolve_result& r) {
    std::vector<std::string> out;
    if (r)
      for (const auto& a : r->addresses)
        out.push_back(to_string(a));
    std::sort(out.begin(), out.end());
    return out;
  }

  std::shared_ptr<lease_store> store;
  std::unique_ptr<event_loop> loop;
  std::unique_ptr<name_server> server;
  std::filesystem::path hosts;
  std::unique_ptr<resolver> under_test;
  using strings = std::vector<std::string>;
};

TEST_F(resolving, asks_for_both_families) {
  server->table["both.test"] = {{"192.0.2.1", "192.0.2.2", "2001:db8::1"}};
  EXPECT_EQ(texts(ask("both.test")), (strings{"192.0.2.1", "192.0.2.2", "2001:db8::1"}));
  server->table["six.test"] = {{"2001:db8::6"}};
  EXPECT_EQ(texts(ask("six.test")), strings{"2001:db8::6"});
}

TEST_F(resolving, the_hosts_file_wins_and_is_read_again) {
  server->table["fixed.test"] = {{"192.0.2.1"}};
  EXPECT_EQ(texts(ask("fixed.test")), (strings{"10.9.8.7", "::1"}));
  EXPECT_EQ(texts(ask("alias.test")), strings{"10.9.8.7"});
  EXPECT_TRUE(server->asked.empty());
  write_hosts("10.1.1.1 fixed.test\n");
  EXPECT_EQ(texts(ask("fixed.test")), strings{"10.1.1.1"});
  std::filesystem::remove(hosts);
  EXPECT_EQ(texts(ask("fixed.test")), strings{"192.0.2.1"});
}

TEST_F(resolving, asks_for_the_name_as_it_stands) {
  auto answer = ask("bare");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, errc::not_found);
  for (const auto& name : server->asked)
    EXPECT_EQ(name, "bare");
}

TEST_F(resolving, a_silent_server_is_a_timeout) {
  server->silent = true;
  auto answer = ask("silent.test");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, errc::timeout);
}

TEST_F(resolving, a_dropped_question_is_not_answered) {
  server->silent = true;
  auto question = std::make_unique<resolution>();
  under_test->resolve("silent.test", *question, [](resolve_result) { FAIL(); });
  question.reset();
  auto from_hosts = std::make_unique<resolution>();
  under_test->resolve("fixed.test", *from_hosts, [](resolve_result) { FAIL(); });
  from_hosts.reset();
  auto pending = std::make_unique<resolution>();
  under_test->resolve("silent.test", *pending, [&](resolve_result) { pending.reset(); });
  auto deadline = clock::now() + 5s;
  while (pending && clock::now() < deadline)
    loop->run_once(50ms);
  EXPECT_FALSE(pending);
}

/// Leases whose times a test need not wait for: they are told by what the resolver asks.
class leasing : public resolving {
protected:
  explicit leasing(lease_terms terms = {.stale = 60s}) : resolving(terms) {}

  static std::chrono::seconds left(const resolve_result& r) {
    EXPECT_TRUE(r && r->lease_ends);
    return r && r->lease_ends
             ? std::chrono::round<std::chrono::seconds>(*r->lease_ends - wall_now())
             : 0s;
  }
  void end_lease(const std::string& name, std::chrono::seconds ago) {
    lease over{{*parse_ip("192.0.2.99")}, clock::now() - ago, wall_now() - ago};
    store->put(name, over);
  }
};

TEST_F(leasing, a_lease_answers_without_a_question) {
  server->table["a.test"] = {{"192.0.2.1"}, 60};
  auto first = ask("a.test");
  server->silent = true;
  auto again = ask("a.test");
  EXPECT_EQ(texts(again), strings{"192.0.2.1"});
  EXPECT_EQ(again->lease_ends, first->lease_ends);
  EXPECT_EQ(left(first), 60s);
  EXPECT_EQ(server->times_asked("a.test"), 1U);
  EXPECT_EQ(under_test->counters().asked.get(), 1U);
  EXPECT_EQ(under_test->counters().leased.get(), 1U);
  EXPECT_EQ(store->count(loop->now()), 1U);
}

TEST_F(leasing, what_one_worker_learnt_the_others_know) {
  server->table["a.test"] = {{"192.0.2.1"}, 60};
  (void)ask("a.test");
  auto other = another();
  EXPECT_EQ(texts(ask(*other, "a.test")), strings{"192.0.2.1"});
  EXPECT_EQ(server->times_asked("a.test"), 1U);
}

TEST_F(leasing, a_ttl_of_0_is_never_kept) {
  server->table["a.test"] = {{"192.0.2.1"}, 0};
  EXPECT_EQ(left(ask("a.test")), 0s);
  server->table["a.test"] = {{"192.0.2.2"}, 0};
  EXPECT_EQ(texts(ask("a.test")), strings{"192.0.2.2"});
  EXPECT_EQ(server->times_asked("a.test"), 2U);
  EXPECT_EQ(store->count(loop->now()), 0U);
  // RFC 2181 section 8
  server->table["a.test"] = {{"192.0.2.3"}, 0x80000001};
  EXPECT_EQ(left(ask("a.test")), 0s);
}

TEST_F(leasing, the_smallest_ttl_on_the_way_counts) {
  server->table["a.test"] = {{"192.0.2.1", "2001:db8::1"}, 300, "b.test", 30};
  EXPECT_EQ(left(ask("a.test")), 30s);
  server->table["c.test"] = {{"192.0.2.1"}, 20, "d.test", 300};
  EXPECT_EQ(left(ask("c.test")), 20s);
  server->table["e.test"] = {{"192.0.2.1"}, 300, "f.test", 0};
  EXPECT_EQ(left(ask("e.test")), 0s);
  EXPECT_EQ(store->count(loop->now()), 2U);
}

TEST_F(leasing, questions_for_one_name_are_joined) {
  server->table["a.test"] = {{"192.0.2.1"}, 0};
  std::array<resolution, 3> questions;
  auto answers = 0;
  for (auto& each : questions)
    under_test->resolve("a.test", each, [&](const resolve_result& r) {
      EXPECT_EQ(texts(r), strings{"192.0.2.1"});
      ++answers;
    });
  questions[0].cancel(); // the others still want to know
  auto deadline = clock::now() + 5s;
  while (answers < 2 && clock::now() < deadline)
    loop->run_once(50ms);
  EXPECT_EQ(answers, 2);
  EXPECT_EQ(server->times_asked("a.test"), 1U);
  EXPECT_EQ(under_test->counters().joined.get(), 2U);
}

TEST_F(leasing, that_a_name_has_no_address_is_known_for_a_moment) {
  EXPECT_FALSE(ask("none.test"));
  server->table["none.test"] = {{"192.0.2.1"}, 60};
  auto again = ask("none.test");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, errc::not_found);
  EXPECT_EQ(server->times_asked("none.test"), 1U);
}

TEST_F(leasing, a_lease_serves_past_its_end_only_while_no_server_answers) {
  end_lease("a.test", 1s);
  server->silent = true;
  auto stale = ask("a.test");
  EXPECT_EQ(texts(stale), strings{"192.0.2.99"});
  EXPECT_LT(*stale->lease_ends, wall_now());
  auto asked = server->times_asked("a.test");
  EXPECT_EQ(texts(ask("a.test")), strings{"192.0.2.99"}); // without waiting again
  EXPECT_EQ(server->times_asked("a.test"), asked);
  EXPECT_EQ(under_test->counters().stale.get(), 2U);
  EXPECT_EQ(under_test->counters().failures.get(), 1U);
  server->silent = false;
  server->table["a.test"] = {{"192.0.2.1"}, 60};
  EXPECT_EQ(texts(ask(*another(), "a.test")), strings{"192.0.2.1"});
}

TEST_F(leasing, nothing_serves_past_the_stale_time_or_against_the_servers_word) {
  end_lease("old.test", 61s);
  end_lease("gone.test", 1s);
  EXPECT_FALSE(ask("gone.test")); // NXDOMAIN
  server->silent = true;
  auto old = ask("old.test");
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().code, errc::timeout);
  EXPECT_FALSE(ask(*another(), "gone.test"));
  EXPECT_EQ(under_test->counters().stale.get(), 0U);
}

TEST_F(leasing, an_answer_that_is_not_kept_ends_what_was_known_before) {
  end_lease("a.test", 1s);
  server->table["a.test"] = {{"192.0.2.1"}, 0};
  EXPECT_EQ(texts(ask("a.test")), strings{"192.0.2.1"});
  server->silent = true;
  EXPECT_FALSE(ask("a.test"));
}

TEST_F(leasing, what_another_worker_learnt_meanwhile_is_no_stale_answer) {
  server->silent = true;
  resolution question;
  std::optional<resolve_result> answer;
  under_test->resolve("a.test", question, [&](resolve_result r) { answer = std::move(r); });
  store->put("a.test", {{*parse_ip("192.0.2.5")}, clock::now() + 60s, wall_now() + 60s});
  const auto deadline = clock::now() + 5s;
  while (!answer && clock::now() < deadline)
    loop->run_once(50ms);
  ASSERT_TRUE(answer);
  EXPECT_EQ(texts(*answer), strings{"192.0.2.5"});
  EXPECT_EQ(under_test->counters().stale.get(), 0U);
}

class nothing_kept : public leasing {
protected:
  nothing_kept() : leasing({.without_address = 0s, .most_names = 0}) {}
};

TEST_F(nothing_kept, every_lookup_asks) {
  server->table["a.test"] = {{"192.0.2.1"}, 60};
  (void)ask("a.test");
  EXPECT_EQ(texts(ask("a.test")), strings{"192.0.2.1"});
  EXPECT_EQ(server->times_asked("a.test"), 2U);
  EXPECT_EQ(store->changes(), 0U);
}

class bounded_leasing : public leasing {
protected:
  bounded_leasing() : leasing({.shortest = 10s, .longest = 100s, .most_names = 2}) {}
};

TEST_F(bounded_leasing, ttls_are_brought_within_bounds) {
  server->table["short.test"] = {{"192.0.2.1"}, 1};
  server->table["long.test"] = {{"192.0.2.1"}, 86'400};
  server->table["none.test"] = {{"192.0.2.1"}, 0};
  EXPECT_EQ(left(ask("short.test")), 10s);
  EXPECT_EQ(left(ask("long.test")), 100s);
  EXPECT_EQ(left(ask("none.test")), 0s);
}

TEST_F(bounded_leasing, the_name_unused_for_longest_makes_room) {
  for (const auto* name : {"a.test", "b.test", "c.test"})
    server->table[name] = {{"192.0.2.1"}, 60};
  (void)ask("a.test");
  (void)ask("b.test");
  (void)ask("a.test");
  (void)ask("c.test");
  (void)ask("a.test");
  EXPECT_EQ(server->times_asked("a.test"), 1U);
  EXPECT_EQ(store->count(loop->now()), 2U);
}

TEST_F(leasing, names_in_the_hosts_file_have_no_lease) {
  EXPECT_EQ(ask("fixed.test")->lease_ends, std::nullopt);
  EXPECT_EQ(under_test->counters().hosts.get(), 1U);
  EXPECT_EQ(store->count(loop->now()), 0U);
}

TEST_F(resolving, bad_servers_are_refused) {
  resolver_options options;
  options.servers = "not an address";
  EXPECT_FALSE(resolver::create(*loop, options));
}

} // namespace
} // namespace marchproxy::net

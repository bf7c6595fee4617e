// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/limiting/source_table.hpp"

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

namespace marchproxy::limiting {
namespace {

using namespace std::chrono_literals;

limit_terms requests(std::uint64_t rate, std::uint64_t burst) {
  model::limits out;
  out.requests = model::rate_limit{rate, 1, burst};
  return limit_terms{out};
}

bool take(source_table& table, const limit_terms& terms, std::uint64_t key, duration since) {
  auto& set = table.hold(key, since);
  const auto taken = set.requests.take(*terms.requests, 1, terms.requests->at(since));
  table.release(set);
  return taken;
}

TEST(source_table, a_source_is_an_ipv4_address_or_an_ipv6_subnet) {
  const auto key = [](const char* text) { return source_key(*parse_ip(text)); };
  EXPECT_EQ(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
  EXPECT_NE(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
  EXPECT_NE(key("10.0.0.1"), key("10.0.0.2"));
  EXPECT_EQ(key("10.0.0.1"), key("::ffff:10.0.0.1"));
  EXPECT_NE(key("::1"), 0U);
  EXPECT_NE(key("::1"), key("0.0.0.0"));
}

TEST(source_table, each_source_has_its_own) {
  const auto terms = requests(1, 2);
  source_table table{terms, 64};
  for (std::uint64_t key = 1; key <= 4; ++key) {
    EXPECT_TRUE(take(table, terms, key, 0s));
    EXPECT_TRUE(take(table, terms, key, 0s));
    EXPECT_FALSE(take(table, terms, key, 0s));
  }
  EXPECT_EQ(table.crowded(), 0U);
}

TEST(source_table, a_flood_of_sources_frees_nobody_of_what_it_has_spent) {
  const auto terms = requests(1, 2);
  source_table table{terms, 16};
  EXPECT_TRUE(take(table, terms, 1, 0s));
  EXPECT_TRUE(take(table, terms, 1, 0s));
  int passed = 0;
  for (std::uint64_t key = 100; key < 10'100; ++key)
    passed += take(table, terms, key, 0s) ? 1 : 0;
  EXPECT_FALSE(take(table, terms, 1, 0s));
  // 15 places, and one set for all the others.
  EXPECT_EQ(passed, 15 + 2);
  EXPECT_EQ(table.crowded(), 10'000U - 15U);
}

TEST(source_table, a_place_is_free_again_when_its_bucket_is_full) {
  const auto terms = requests(1, 2);
  source_table table{terms, 16};
  for (std::uint64_t key = 1; key <= 16; ++key)
    EXPECT_TRUE(take(table, terms, key, 0s));
  EXPECT_TRUE(take(table, terms, 100, 500ms));
  EXPECT_EQ(table.crowded(), 1U);
  for (std::uint64_t key = 101; key <= 116; ++key)
    EXPECT_TRUE(take(table, terms, key, 2s));
  EXPECT_EQ(table.crowded(), 1U);
}

TEST(source_table, who_shared_goes_on_with_what_was_spent) {
  const auto terms = requests(1, 3);
  source_table table{terms, 16};
  for (std::uint64_t key = 1; key <= 16; ++key)
    EXPECT_TRUE(take(table, terms, key, 0s));
  // At the end of that second its neighbours' buckets are full, and its own is not.
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(take(table, terms, 100, 900ms));
  EXPECT_FALSE(take(table, terms, 100, 1s + 1ms));
  EXPECT_EQ(table.crowded(), 3U);
}

TEST(source_table, what_is_held_or_open_is_not_given_away) {
  const auto terms = requests(1000, 1);
  source_table table{terms, 16};
  std::vector<bucket_set*> held;
  for (std::uint64_t key = 1; key <= 16; ++key)
    held.push_back(&table.hold(key, 0s));
  auto& crowd = table.hold(100, 1h);
  EXPECT_EQ(&crowd, &table.hold(101, 1h));
  held[0]->open = 1;
  for (auto* one : held)
    table.release(*one);
  EXPECT_EQ(&table.hold(1, 2h), held[0]);
  for (std::uint64_t key = 201; key <= 215; ++key)
    EXPECT_NE(&table.hold(key, 2h), held[0]);
  EXPECT_EQ(&table.hold(216, 2h), &crowd);
}

TEST(source_table, no_source_gets_more_while_places_change_hands) {
  constexpr std::uint64_t sources = 64;
  constexpr double rate = 1000;
  const auto terms = requests(1000, 1);
  source_table table{terms, 16};
  std::array<std::atomic<std::uint64_t>, sources> taken{};
  const auto begin = clock::now();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 200'000; ++i) {
        const auto source = (i * 7 + static_cast<std::uint64_t>(t) * 13) % sources;
        if (take(table, terms, source + 1, clock::now() - begin))
          ++taken[source];
      }
    });
  for (auto& t : threads)
    t.join();
  const auto elapsed = std::chrono::duration<double>(clock::now() - begin).count();
  std::uint64_t all = 0;
  for (const auto& one : taken) {
    EXPECT_LE(static_cast<double>(one.load()), 1 + rate * elapsed);
    all += one.load();
  }
  EXPECT_GT(all, sources);
  EXPECT_GT(table.crowded(), 0U);
}

} // namespace
} // namespace marchproxy::limiting

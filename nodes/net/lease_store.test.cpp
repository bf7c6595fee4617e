// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/lease_store.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace marchproxy::net {
namespace {

using namespace std::chrono_literals;

const auto now = clock::time_point{} + 1h;
const auto wall = *parse_time("2026-11-30T12:00:00Z");

lease one(std::chrono::seconds left) {
  // A clock that counts nanoseconds has no place for thousands of years.
  const auto near = std::clamp<std::chrono::seconds>(left, -1h, 24h);
  return {{*parse_ip("192.0.2.1")}, now + near, wall + left};
}

TEST(lease_table, evicts_what_was_unused_for_longest) {
  lease_table table{2};
  table.put("a", one(1s));
  table.put("b", one(2s));
  ASSERT_NE(table.find("a"), nullptr);
  table.put("c", one(3s));
  EXPECT_EQ(table.find("b"), nullptr);
  EXPECT_EQ(table.size(), 2U);
  EXPECT_EQ(table.evicted(), 1U);
  table.put("a", one(4s));
  EXPECT_EQ(*table.find("a"), one(4s));
  table.erase("a");
  EXPECT_EQ(table.find("a"), nullptr);
  table.erase("a");
  EXPECT_EQ(*table.find("c"), one(3s));
}

TEST(lease_table, of_no_names_keeps_nothing) {
  lease_table table{0};
  table.put("a", one(1s));
  EXPECT_EQ(table.find("a"), nullptr);
  EXPECT_EQ(table.evicted(), 0U);
}

TEST(lease_store, tells_leases_that_hold_from_those_that_ended) {
  lease_store store{{.stale = 10s}};
  store.put("a", one(5s));
  EXPECT_EQ(store.find("a", now), one(5s));
  EXPECT_EQ(store.find("a", now + 5s), std::nullopt);
  EXPECT_EQ(store.find_ended("a", now + 14s), one(5s));
  EXPECT_EQ(store.find_ended("a", now + 15s), std::nullopt);
  EXPECT_EQ(store.count(now), 1U);
  EXPECT_EQ(store.count(now + 5s), 0U);
  store.forget("a");
  EXPECT_EQ(store.find("a", now), std::nullopt);
}

TEST(lease_store, stock_is_taken_of_what_may_still_serve) {
  lease_store store{{.stale = 10s}};
  store.put("over", one(-10s));
  store.put("ended", one(-9s));
  store.put("holds", one(60s));
  auto stock = store.take_stock(now);
  ASSERT_EQ(stock.size(), 2U);
  EXPECT_EQ(stock[0].name, "ended");
  EXPECT_EQ(stock[1].name, "holds");
  EXPECT_EQ(store.find_ended("over", now - 5s), std::nullopt);
}

TEST(lease_store, restores_by_wall_clock_and_no_longer_than_the_longest_ttl) {
  lease_store store{{.longest = 100s, .stale = 10s}};
  const std::vector<named_lease> kept = {{"holds", one(60s)},
                                         {"far", one(24h * 365 * 5000)},
                                         {"ended", one(-9s)},
                                         {"over", one(-10s)},
                                         {"ancient", one(-24h * 365 * 1900)}};
  const auto later = now + 7h; // another process's clock
  EXPECT_EQ(store.restore(kept, later, wall), 3U);
  EXPECT_EQ(store.find("holds", later)->until, later + 60s);
  EXPECT_EQ(store.find("far", later)->until, later + 100s);
  EXPECT_EQ(store.find("ended", later), std::nullopt);
  EXPECT_EQ(store.find_ended("ended", later)->ends, wall - 9s);
  EXPECT_EQ(store.find_ended("over", later), std::nullopt);
}

TEST(lease_store, wakes_who_waits_for_a_change) {
  lease_store store{{}};
  std::stop_source stop;
  store.put("a", one(1s));
  EXPECT_EQ(store.wait_for_change(0, stop.get_token()), 1U);
  stop.request_stop();
  EXPECT_EQ(store.wait_for_change(1, stop.get_token()), 1U);
  store.forget("b");
  EXPECT_EQ(store.changes(), 1U);
}

} // namespace
} // namespace marchproxy::net

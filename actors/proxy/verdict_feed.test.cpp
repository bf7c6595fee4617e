// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/proxy/verdict_feed.hpp"

#include <gtest/gtest.h>

#include <string>

namespace marchproxy::proxy {
namespace {

using namespace std::chrono_literals;

bus_schemas::flow_verdict verdict_of(std::uint64_t mapping) {
  bus_schemas::flow_verdict v;
  v.mapping = mapping;
  return v;
}

class verdict_feeds : public ::testing::Test {
protected:
  /// How many of @p n get in at @p now.
  int offer(verdict_feed& feed, int n) {
    int in = 0;
    for (int i = 0; i < n; ++i)
      if (feed.admit(now)) {
        feed.push(verdict_of(static_cast<std::uint64_t>(++in)));
      }
    return in;
  }
  verdict_feed::clock::time_point now{1h};
};

TEST_F(verdict_feeds, give_what_was_pushed_in_order) {
  verdict_feed feed{{}};
  EXPECT_EQ(offer(feed, 5), 5);
  auto first = feed.take(3);
  ASSERT_EQ(first.size(), 3U);
  EXPECT_EQ(first.front(), verdict_of(1));
  auto rest = feed.take(3);
  ASSERT_EQ(rest.size(), 2U);
  EXPECT_EQ(rest.back(), verdict_of(5));
  EXPECT_TRUE(feed.take(3).empty());
  EXPECT_EQ(feed.lost(), 0U);
}

TEST_F(verdict_feeds, lose_what_finds_no_place_and_count_it) {
  verdict_feed feed{{.waiting = 10, .per_second = 1000}};
  EXPECT_EQ(offer(feed, 25), 10);
  EXPECT_EQ(feed.lost(), 15U);
  EXPECT_EQ(feed.take(4).size(), 4U);
  EXPECT_EQ(offer(feed, 25), 4);
  EXPECT_EQ(feed.lost(), 36U);
}

TEST_F(verdict_feeds, lose_what_comes_faster_than_the_rate) {
  verdict_feed feed{{.waiting = 1'000'000, .per_second = 100}};
  EXPECT_EQ(offer(feed, 250), 100);
  now += 500ms;
  EXPECT_EQ(offer(feed, 250), 50);
  now += 1h; // a second's worth, however long nothing came
  EXPECT_EQ(offer(feed, 250), 100);
  EXPECT_EQ(feed.lost(), 500U);
}

TEST_F(verdict_feeds, wake_once_for_what_waits) {
  verdict_feed feed{{}};
  int woken = 0;
  feed.on_waiting([&] { ++woken; });
  EXPECT_EQ(offer(feed, 3), 3);
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(feed.take(2).size(), 2U);
  EXPECT_EQ(offer(feed, 1), 1);
  EXPECT_EQ(woken, 1) << "one was waiting still";
  EXPECT_EQ(feed.take(9).size(), 2U);
  EXPECT_EQ(offer(feed, 1), 1);
  EXPECT_EQ(woken, 2);
  feed.on_waiting({});
  EXPECT_EQ(feed.take(9).size(), 1U);
  EXPECT_EQ(offer(feed, 1), 1);
  EXPECT_EQ(woken, 2);
  feed.on_waiting([&] { ++woken; });
  EXPECT_EQ(woken, 3) << "one was waiting already";
}

} // namespace
} // namespace marchproxy::proxy

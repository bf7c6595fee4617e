// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/routing/endpoint.hpp"

#include <gtest/gtest.h>

namespace marchproxy::routing {
namespace {

using namespace std::chrono_literals;

wire::host_port place(const char* text) {
  return *wire::parse_host_port(text);
}

TEST(endpoints, is_left_out_after_failures_in_a_row_and_longer_each_time) {
  endpoint one{
    service_id{1}, place("10.0.0.1:80"), {.failures = 3, .shortest = 5s, .longest = 15s}};
  clock::time_point now{1h};
  const auto fail = [&](int times) {
    for (int i = 0; i < times; ++i)
      one.failed(now);
  };
  fail(2);
  one.succeeded();
  fail(2);
  EXPECT_TRUE(one.usable(now)) << "never three in a row";
  fail(1);
  EXPECT_FALSE(one.usable(now));
  EXPECT_FALSE(one.usable(now + 4999ms));
  EXPECT_TRUE(one.usable(now + 5s));
  now += 5s;
  fail(3);
  EXPECT_FALSE(one.usable(now + 9999ms));
  EXPECT_TRUE(one.usable(now + 10s));
  now += 10s;
  fail(3);
  EXPECT_FALSE(one.usable(now + 14999ms));
  EXPECT_TRUE(one.usable(now + 15s)) << "never longer than the longest";
  EXPECT_EQ(one.ejections(), 3U);
  now += 15s;
  one.succeeded();
  fail(3);
  EXPECT_TRUE(one.usable(now + 5s)) << "a success starts over";
}

TEST(endpoints, is_not_usable_while_its_health_check_says_so) {
  endpoint one{service_id{1}, place("10.0.0.1:80"), {}};
  EXPECT_TRUE(one.up());
  one.set_up(false);
  EXPECT_FALSE(one.usable(clock::time_point{1h}));
  one.set_up(true);
  EXPECT_TRUE(one.usable(clock::time_point{1h}));
}

TEST(endpoints, have_a_share_that_grows_from_when_they_are_new_or_come_back) {
  const clock::time_point born{1h};
  endpoint one{service_id{1}, place("10.0.0.1:80"), {.failures = 1, .shortest = 5s}, born};
  EXPECT_DOUBLE_EQ(one.share(born, 100s), 0.01);
  EXPECT_DOUBLE_EQ(one.share(born - 1s, 100s), 0.01);
  EXPECT_DOUBLE_EQ(one.share(born + 25s, 100s), 0.25);
  EXPECT_DOUBLE_EQ(one.share(born + 100s, 100s), 1);
  EXPECT_DOUBLE_EQ(one.share(born + 2h, 100s), 1);
  one.set_up(true, born + 1h);
  EXPECT_DOUBLE_EQ(one.share(born + 1h, 100s), 1) << "it was up";
  one.set_up(false, born + 1h);
  one.set_up(true, born + 2h);
  EXPECT_DOUBLE_EQ(one.share(born + 2h + 50s, 100s), 0.5);
  one.failed(born + 3h);
  EXPECT_DOUBLE_EQ(one.share(born + 3h + 55s, 100s), 0.5) << "from when it is tried again";
}

TEST(endpoints, take_no_more_than_they_may) {
  auto one = std::make_shared<endpoint>(service_id{1}, place("10.0.0.1:80"), ejection_terms{});
  auto first = endpoint::use::within(one, 2);
  auto second = endpoint::use::within(one, 2);
  EXPECT_EQ(endpoint::use::within(one, 2).get(), nullptr);
  EXPECT_EQ(one->active(), 2U);
  const auto third = endpoint::use::within(one, 0);
  EXPECT_EQ(one->active(), 3U) << "without a bound";
}

TEST(endpoints, counts_what_is_under_way) {
  auto one = std::make_shared<endpoint>(service_id{1}, place("10.0.0.1:80"), ejection_terms{});
  EXPECT_EQ(one->active(), 0U);
  {
    endpoint::use first{one};
    endpoint::use second{one};
    EXPECT_EQ(one->active(), 2U);
    first = std::move(second);
    EXPECT_EQ(one->active(), 1U);
    EXPECT_EQ(second.get(), nullptr);
    endpoint::use none;
    none.reset();
  }
  EXPECT_EQ(one->active(), 0U);
}

TEST(endpoints, are_the_same_for_the_same_place_as_long_as_somebody_has_them) {
  endpoints known;
  const auto first = known.at(service_id{1}, place("a.example:80"));
  EXPECT_EQ(known.at(service_id{1}, place("A.example:80")), first);
  EXPECT_NE(known.at(service_id{2}, place("a.example:80")), first);
  EXPECT_NE(known.at(service_id{1}, place("a.example:81")), first);
  EXPECT_EQ(first->hash(), known.at(service_id{2}, place("a.example:80"))->hash());
}

} // namespace
} // namespace marchproxy::routing

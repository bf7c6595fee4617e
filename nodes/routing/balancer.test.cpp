// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/routing/balancer.hpp"

#include <gtest/gtest.h>

#include <map>

namespace marchproxy::routing {
namespace {

using namespace std::chrono_literals;
using model::balancing;

constexpr clock::time_point now{1h};

std::vector<balancer::member> members(std::initializer_list<std::uint32_t> weights) {
  std::vector<balancer::member> out;
  for (const auto weight : weights)
    out.push_back({std::make_shared<endpoint>(
                     service_id{out.size() + 1},
                     *wire::parse_host_port("10.0.0." + std::to_string(out.size() + 1) + ":80"),
                     ejection_terms{.failures = 1}),
                   weight});
  return out;
}

TEST(balancers, round_robin_follows_the_weights_and_does_not_bunch) {
  const balancer b{members({5, 1, 1}), balancing::round_robin};
  std::string order;
  for (int i = 0; i < 14; ++i)
    order += static_cast<char>('a' + static_cast<int>(*b.choose(0, {}, now)));
  EXPECT_EQ(order, "aabacaaaabacaa");
}

TEST(balancers, round_robin_of_large_weights_is_right_in_the_long_run) {
  const balancer b{members({1000, 999, 1}), balancing::round_robin};
  std::map<std::size_t, int> count;
  for (int i = 0; i < 20'000; ++i)
    ++count[*b.choose(0, {}, now)];
  EXPECT_NEAR(count[0], 10'000, 20);
  EXPECT_NEAR(count[1], 9'990, 20);
  EXPECT_NEAR(count[2], 10, 10);
}

TEST(balancers, least_connections_goes_where_the_least_is_under_way_for_the_weight) {
  const balancer b{members({1, 1, 2}), balancing::least_connections};
  std::vector<endpoint::use> uses;
  std::map<std::size_t, int> count;
  for (int i = 0; i < 40; ++i) {
    const auto chosen = *b.choose(0, {}, now);
    ++count[chosen];
    uses.emplace_back(b.members()[chosen].endpoint);
  }
  EXPECT_EQ(count, (std::map<std::size_t, int>{{0, 10}, {1, 10}, {2, 20}}));
}

TEST(balancers, least_connections_takes_turns_among_equals) {
  const balancer b{members({1, 1}), balancing::least_connections};
  EXPECT_NE(*b.choose(0, {}, now), *b.choose(0, {}, now));
}

TEST(balancers, source_hash_keeps_sources_where_they_are_and_moves_few) {
  const auto all = members({1, 1, 1, 1, 1});
  const balancer five{all, balancing::source_hash};
  const balancer four{{all.begin(), all.end() - 1}, balancing::source_hash};
  std::map<std::size_t, int> count;
  int moved = 0;
  constexpr int sources = 10'000;
  for (std::uint64_t source = 0; source < sources; ++source) {
    const auto before = *five.choose(source, {}, now);
    EXPECT_EQ(before, *five.choose(source, {}, now));
    ++count[before];
    if (before != 4 && *four.choose(source, {}, now) != before)
      ++moved;
  }
  for (const auto& [member, n] : count)
    EXPECT_NEAR(n, sources / 5, sources / 50) << member;
  EXPECT_EQ(moved, 0) << "only those of the member that went move";
}

TEST(balancers, source_hash_follows_the_weights) {
  const balancer b{members({1, 3}), balancing::source_hash};
  int second = 0;
  for (std::uint64_t source = 0; source < 10'000; ++source)
    second += *b.choose(source, {}, now) == 1 ? 1 : 0;
  EXPECT_NEAR(second, 7'500, 150);
}

TEST(balancers, what_failed_is_left_out_and_comes_back) {
  for (const auto how :
       {balancing::round_robin, balancing::least_connections, balancing::source_hash}) {
    const balancer b{members({1, 1, 1}), how};
    b.members()[1].endpoint->failed(now);
    std::map<std::size_t, int> count;
    for (std::uint64_t i = 0; i < 300; ++i)
      ++count[*b.choose(i, {}, now)];
    EXPECT_EQ(count.count(1), 0U) << to_string(how);
    EXPECT_EQ(count.size(), 2U) << to_string(how);
    for (std::uint64_t i = 0; i < 300; ++i)
      ++count[*b.choose(i, {}, now + 1h)];
    EXPECT_EQ(count.size(), 3U) << to_string(how);
  }
}

TEST(balancers, when_all_failed_any_will_do_but_none_twice) {
  for (const auto how :
       {balancing::round_robin, balancing::least_connections, balancing::source_hash}) {
    const balancer b{members({1, 4096, 1}), how};
    for (const auto& one : b.members())
      one.endpoint->failed(now);
    balancer::tried_set tried;
    for (int i = 0; i < 3; ++i) {
      const auto chosen = b.choose(7, tried, now);
      ASSERT_TRUE(chosen) << to_string(how);
      EXPECT_FALSE(tried[*chosen]);
      tried.set(*chosen);
    }
    EXPECT_FALSE(b.choose(7, tried, now)) << to_string(how);
  }
}

TEST(balancers, what_came_back_has_a_share_that_grows_to_its_weight) {
  constexpr int rounds = 10'000;
  constexpr auto back = now + 1h;
  for (const auto how : {balancing::round_robin, balancing::source_hash}) {
    const balancer b{members({1, 1, 2}), how, {.slow_start = 100s}};
    for (const auto& one : b.members()) {
      one.endpoint->set_up(false, now);
      one.endpoint->set_up(true, &one == &b.members()[2] ? back : now);
    }
    std::map<std::uint64_t, std::size_t> where;
    int before = 0;
    for (const auto age : {0, 25, 50, 75, 100}) {
      std::map<std::size_t, int> count;
      for (std::uint64_t source = 0; source < rounds; ++source) {
        const auto chosen = *b.choose(source, {}, back + std::chrono::seconds{age});
        ++count[chosen];
        if (how == balancing::source_hash && age > 0) {
          EXPECT_TRUE(chosen == 2 || chosen == where[source]) << "nobody moves back and forth";
        }
        where[source] = chosen;
      }
      // Turns that it does not take yet go to the others; hashing shares by what weights are now.
      const auto share = std::max(0.01, age / 100.0);
      const auto wanted = how == balancing::round_robin ? share / 2 : 2 * share / (2 + 2 * share);
      EXPECT_NEAR(count[2], wanted * rounds, rounds / 50) << to_string(how) << " after " << age;
      EXPECT_GT(count[2], before);
      before = count[2];
    }
  }
}

TEST(balancers, least_connections_counts_the_share_too) {
  const balancer b{members({1, 1}), balancing::least_connections, {.slow_start = 100s}};
  for (const auto& one : b.members()) {
    one.endpoint->set_up(false, now);
    one.endpoint->set_up(true, &one == &b.members()[1] ? now + 1h : now);
  }
  std::vector<endpoint::use> uses;
  std::map<std::size_t, int> count;
  for (int i = 0; i < 100; ++i) {
    const auto chosen = *b.choose(0, {}, now + 1h + 25s);
    ++count[chosen];
    uses.push_back(b.use(chosen));
  }
  EXPECT_NEAR(count[1], 20, 2) << "a quarter of the weight: one of five";
}

TEST(balancers, when_all_are_new_none_is_left_out) {
  for (const auto how :
       {balancing::round_robin, balancing::least_connections, balancing::source_hash}) {
    const balancer b{members({1, 1}), how, {.slow_start = 1h}};
    std::map<std::size_t, int> count;
    for (std::uint64_t i = 0; i < 1'000; ++i)
      ++count[*b.choose(i, {}, clock::time_point{})];
    EXPECT_NEAR(count[0], 500, 50) << to_string(how);
  }
}

TEST(balancers, one_that_drains_is_never_chosen_even_alone) {
  for (const auto how :
       {balancing::round_robin, balancing::least_connections, balancing::source_hash}) {
    auto all = members({1, 1000, 1});
    all[1].draining = true;
    const balancer b{all, how};
    b.members()[0].endpoint->failed(now);
    for (std::uint64_t i = 0; i < 100; ++i)
      EXPECT_EQ(b.choose(i, {}, now), 2U) << to_string(how);
    EXPECT_EQ(b.choose(7, {0b100}, now), 0U) << "that failed is better";
    for (auto& one : all)
      one.draining = true;
    EXPECT_FALSE((balancer{all, how}.choose(7, {}, now))) << to_string(how);
    EXPECT_EQ(b.draining(*all[1].endpoint, now), 1U);
    EXPECT_FALSE(b.draining(*all[2].endpoint, now)) << "it does not drain there";
    all[1].endpoint->failed(now);
    EXPECT_FALSE(b.draining(*all[1].endpoint, now));
  }
}

TEST(balancers, a_member_without_room_is_passed_over_even_when_the_others_failed) {
  for (const auto how :
       {balancing::round_robin, balancing::least_connections, balancing::source_hash}) {
    const balancer b{members({1, 1}), how, {.most_under_way = 2}};
    std::vector<endpoint::use> uses;
    b.members()[1].endpoint->failed(now);
    for (int i = 0; i < 4; ++i) {
      const auto chosen = b.choose(7, {}, now);
      ASSERT_TRUE(chosen) << to_string(how);
      EXPECT_EQ(*chosen, i < 2 ? 0U : 1U) << to_string(how);
      uses.push_back(b.use(*chosen));
      EXPECT_NE(uses.back().get(), nullptr);
    }
    EXPECT_EQ(b.under_way(), 4U);
    EXPECT_FALSE(b.choose(7, {}, now)) << to_string(how);
    EXPECT_EQ(b.use(0).get(), nullptr) << "nor for one that chose before";
    uses.clear();
    EXPECT_TRUE(b.choose(7, {}, now)) << to_string(how);
  }
}

} // namespace
} // namespace marchproxy::routing

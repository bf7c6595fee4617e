// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/routing/retry_budget.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace marchproxy::routing {
namespace {

TEST(retry_budgets, a_few_are_always_allowed_and_a_share_of_what_is_under_way) {
  for (const auto& [percent, under_way, most] : {std::tuple{20U, 0U, 3U},
                                                 {20U, 19U, 3U},
                                                 {20U, 100U, 20U},
                                                 {0U, 1000U, 3U},
                                                 {100U, 7U, 7U}}) {
    retry_budget budget{percent};
    std::vector<retry_budget::use> uses;
    for (auto one = budget.take(under_way); one; one = budget.take(under_way))
      uses.push_back(std::move(one));
    EXPECT_EQ(uses.size(), most) << percent << "% of " << under_way;
    uses.pop_back();
    EXPECT_TRUE(budget.take(under_way)) << "one is over";
  }
}

TEST(retry_budgets, a_use_that_moves_counts_once) {
  retry_budget budget{0};
  auto first = budget.take(0);
  auto second = budget.take(0);
  first = std::move(second);
  EXPECT_FALSE(second);
  first.reset();
  std::vector<retry_budget::use> uses;
  for (auto one = budget.take(0); one; one = budget.take(0))
    uses.push_back(std::move(one));
  EXPECT_EQ(uses.size(), retry_budget::floor) << "all of them had come back";
}

TEST(retry_budgets, threads_that_ask_at_once_never_get_more) {
  retry_budget budget{10};
  std::atomic<int> now{0};
  std::atomic<int> most{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        for (int round = 0; round < 20'000; ++round)
          if (auto use = budget.take(40)) {
            const auto here = ++now;
            for (auto seen = most.load(); seen < here && !most.compare_exchange_weak(seen, here);) {
            }
            --now;
          }
      });
  }
  EXPECT_LE(most, 4);
  EXPECT_GE(most, 1);
}

} // namespace
} // namespace marchproxy::routing

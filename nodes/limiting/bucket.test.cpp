// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/limiting/bucket.hpp"

#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

namespace marchproxy::limiting {
namespace {

using namespace std::chrono_literals;

__extension__ using wide = __int128;

/// The bucket as it is defined, in exact numbers: parts of which interval * 10^9 are a token.
class exact_bucket {
public:
  explicit exact_bucket(const model::rate_limit& limit)
    : limit_(limit), token_(wide{limit.interval} * 1'000'000'000), level_(full()) {}

  void pass(duration elapsed) {
    level_ = std::min(full(), level_ + wide{elapsed.count()} * static_cast<wide>(limit_.rate));
  }
  void take(std::uint64_t tokens) { level_ -= static_cast<wide>(tokens) * token_; }
  [[nodiscard]] bool has(std::uint64_t tokens) const {
    return level_ >= static_cast<wide>(tokens) * token_;
  }

private:
  [[nodiscard]] wide full() const { return static_cast<wide>(limit_.burst) * token_; }
  model::rate_limit limit_;
  wide token_;
  wide level_;
};

TEST(bucket, a_burst_passes_at_once_and_then_the_rate) {
  const bucket_terms terms{{.rate = 3, .interval = 1, .burst = 5}};
  bucket b;
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(b.take(terms, 1, terms.at(0s)));
  EXPECT_FALSE(b.take(terms, 1, terms.at(0s)));
  EXPECT_FALSE(b.take(terms, 1, terms.at(333ms)));
  EXPECT_TRUE(b.take(terms, 1, terms.at(334ms)));
  EXPECT_FALSE(b.take(terms, 1, terms.at(334ms)));
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(b.take(terms, 1, terms.at(1h)));
  EXPECT_FALSE(b.take(terms, 1, terms.at(1h)));
}

TEST(bucket, a_slow_rate_keeps_its_burst) {
  const bucket_terms terms{{.rate = 1, .interval = 86'400, .burst = 3}};
  bucket b;
  EXPECT_TRUE(b.take(terms, 3, terms.at(0s)));
  EXPECT_FALSE(b.take(terms, 1, terms.at(23h)));
  EXPECT_TRUE(b.take(terms, 1, terms.at(24h + 1ms)));
  EXPECT_FALSE(b.take(terms, 1, terms.at(47h)));
}

TEST(bucket, more_than_a_burst_never_passes) {
  const bucket_terms terms{{.rate = 1000, .interval = 1, .burst = 10}};
  bucket b;
  EXPECT_FALSE(b.take(terms, 11, terms.at(1h)));
  EXPECT_TRUE(b.take(terms, 10, terms.at(1h)));
}

TEST(bucket, an_older_clock_takes_no_more) {
  const bucket_terms terms{{.rate = 10, .interval = 1, .burst = 10}};
  bucket b;
  EXPECT_TRUE(b.take(terms, 10, terms.at(10s)));
  EXPECT_FALSE(b.take(terms, 1, terms.at(9s)));
  EXPECT_FALSE(b.take(terms, 1, terms.at(10s)));
  EXPECT_TRUE(b.take(terms, 10, terms.at(11s)));
}

TEST(bucket, what_was_not_used_can_be_given_back) {
  const bucket_terms terms{{.rate = 1, .interval = 60, .burst = 4}};
  bucket b;
  EXPECT_EQ(b.take_some(terms, 1, 10, terms.at(0s)), 4U);
  b.give_back(terms, 3);
  EXPECT_EQ(b.take_some(terms, 4, 10, terms.at(0s)), 0U);
  EXPECT_EQ(b.take_some(terms, 1, 10, terms.at(0s)), 3U);
  // Long after, it is no more than full.
  b.give_back(terms, 1);
  EXPECT_EQ(b.take_some(terms, 1, 10, terms.at(1h)), 4U);
}

TEST(bucket, the_wait_is_just_long_enough) {
  std::mt19937_64 random{7};
  for (int round = 0; round < 1000; ++round) {
    const model::rate_limit limit{1 + random() % 1'000'000,
                                  static_cast<std::uint32_t>(1 + random() % 100),
                                  1 + random() % 1000};
    const bucket_terms terms{limit};
    bucket b;
    const duration begin{static_cast<duration::rep>(random() % 1'000'000'000'000)};
    ASSERT_TRUE(b.take(terms, limit.burst, terms.at(begin)));
    const auto wanted = 1 + random() % limit.burst;
    const auto wait = b.wait_for(terms, wanted, terms.at(begin));
    ASSERT_GT(wait, 0ns);
    // Of the beginning too only whole parts count, and a wait has whole nanoseconds.
    EXPECT_FALSE(b.take(terms, wanted, terms.at(begin + wait - terms.time_for(2) - 1ns)));
    EXPECT_TRUE(b.take(terms, wanted, terms.at(begin + wait)));
  }
}

TEST(bucket, takes_what_an_exact_bucket_would_and_never_more) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random{seed};
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t most_rates[] = {5, 1000, 1'000'000, 100'000'000'000};
    model::rate_limit limit{1 + random() % most_rates[random() % 4],
                            static_cast<std::uint32_t>(random() % 2 == 0 ? 1 : 1 + random() % 3600),
                            1};
    limit.burst = 1 + random() % std::min<std::uint64_t>(limit.rate * 10, 1'000'000'000'000);
    if (model::limit_fault(limit, model::most_bytes_per_interval))
      continue;
    const bucket_terms terms{limit};
    exact_bucket exact{limit};
    bucket b;
    const auto typical = terms.time_for(terms.fixed(1 + limit.burst / 4)).count();
    duration now{0};
    for (int i = 0; i < 500; ++i) {
      const duration step{
        static_cast<duration::rep>(random() % static_cast<std::uint64_t>(typical + 1))};
      now += step;
      exact.pass(step);
      const auto wanted = 1 + random() % limit.burst;
      if (b.take(terms, wanted, terms.at(now))) {
        ASSERT_TRUE(exact.has(wanted)) << i;
        exact.take(wanted);
      } else {
        ASSERT_FALSE(exact.has(wanted + 2 + limit.burst / 1'000'000)) << i;
      }
    }
  }
}

TEST(bucket, many_threads_together_never_take_more) {
  const model::rate_limit limit{50'000, 1, 1000};
  const bucket_terms terms{limit};
  bucket b;
  std::atomic<std::uint64_t> taken{0};
  const auto begin = clock::now();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::mt19937_64 random{static_cast<std::uint64_t>(t)};
      for (int i = 0; i < 200'000; ++i) {
        const auto got = b.take_some(terms, 1, 1 + random() % 7, terms.at(clock::now() - begin));
        const auto unused = got > 0 && random() % 8 == 0 ? std::uint64_t{1} : 0;
        if (unused > 0)
          b.give_back(terms, unused);
        taken += got - unused;
      }
    });
  for (auto& t : threads)
    t.join();
  const auto elapsed = std::chrono::duration<double>(clock::now() - begin).count();
  EXPECT_LE(static_cast<double>(taken.load()),
            static_cast<double>(limit.burst) + elapsed * static_cast<double>(limit.rate));
  EXPECT_GE(taken.load(), limit.burst);
}

} // namespace
} // namespace marchproxy::limiting

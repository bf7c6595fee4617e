// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/worker/quiescence.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

namespace marchproxy::packet_worker {
namespace {

using std::chrono::milliseconds;

TEST(quiescence_, waits_for_who_holds_something_and_for_no_one_else) {
  quiescence q{2};
  EXPECT_TRUE(q.wait(milliseconds{0})) << "nobody is there";
  q.enter(0);
  EXPECT_EQ(q.wait(milliseconds{5}).error().code, errc::timeout);
  q.pass(0);
  EXPECT_EQ(q.wait(milliseconds{5}).error().code, errc::timeout) << "it passed before, not since";
  q.leave(0);
  EXPECT_TRUE(q.wait(milliseconds{0}));
}

/// Freed memory is poisoned: a reader that still sees it reads two different numbers.
TEST(quiescence_, nothing_is_freed_that_a_worker_still_reads) {
  struct pair {
    std::array<std::atomic<std::uint64_t>, 64> numbers{};
    explicit pair(std::uint64_t n) {
      for (auto& at : numbers)
        at.store(n, std::memory_order_relaxed);
    }
    ~pair() {
      for (std::size_t i = 0; i < numbers.size(); ++i)
        numbers[i].store(1'000'000'000 + i, std::memory_order_relaxed);
    }
  };
  constexpr std::size_t readers = 2;
  quiescence q{readers};
  published<pair> value;
  static_cast<void>(value.exchange(std::make_shared<pair>(0)));
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> wrong = 0;
  std::atomic<std::uint64_t> rounds = 0;
  auto read = [&](std::size_t reader) {
    q.enter(reader);
    while (!stop) {
      const auto* now = value.read();
      auto first = now->numbers.front().load(std::memory_order_relaxed);
      for (const auto& at : now->numbers)
        wrong += at.load(std::memory_order_relaxed) != first ? 1U : 0U;
      ++rounds;
      q.pass(reader);
      if (rounds % 1'000 == 0) {
        q.leave(reader);
        q.enter(reader);
      }
    }
    q.leave(reader);
  };
  std::array threads{std::thread{read, 0}, std::thread{read, 1}};
  for (std::uint64_t i = 1; i <= 300 || rounds < 2'000; ++i) {
    auto old = value.exchange(std::make_shared<pair>(i));
    ASSERT_TRUE(q.wait(milliseconds{10'000}));
  }
  stop = true;
  for (auto& t : threads)
    t.join();
  EXPECT_EQ(wrong, 0u);
}

} // namespace
} // namespace marchproxy::packet_worker

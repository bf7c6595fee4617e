// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#pragma once

#include "actors/model/limits.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace marchproxy::limiting {

using clock = std::chrono::steady_clock;
using duration = std::chrono::nanoseconds;

/// What a bucket's numbers mean. A bucket counts in tokens, with a fixed point: the rate says how
/// many have come since a beginning that all its users share, so nothing is rounded but the time.
class bucket_terms {
public:
  explicit bucket_terms(const model::rate_limit& limit) noexcept;

  [[nodiscard]] std::uint64_t burst() const noexcept { return burst_; }
  /// What is worth waking up for: about 10 ms of the rate, and no more than fits into the bucket.
  [[nodiscard]] std::uint64_t portion() const noexcept { return portion_; }
  /// Tokens that have come @p since the beginning, in fixed point; rounded down. Counts for five
  /// years at least.
  [[nodiscard]] std::uint64_t at(duration since) const noexcept;
  [[nodiscard]] std::uint64_t fixed(std::uint64_t tokens) const noexcept {
    return tokens << point_;
  }
  [[nodiscard]] std::uint64_t whole(std::uint64_t fixed) const noexcept { return fixed >> point_; }
  /// How long the rate needs for @p fixed, rounded up.
  [[nodiscard]] duration time_for(std::uint64_t fixed) const noexcept;

private:
  std::uint64_t burst_;
  std::uint64_t portion_;
  std::uint64_t per_nanosecond_; ///< fixed point of `fraction` bits on top
  unsigned point_;               ///< bits of a token's fraction
};

/// A token bucket in one word (GCRA): the place on the tokens' clock up to which tokens are spent.
/// Any number of threads; each call is one compare-and-swap. Over any W seconds at most burst +
/// rate * W tokens are taken. A bucket that says nothing yet is full.
class bucket {
public:
  /// @param at  terms.at() of now. Threads may differ in it: an older one takes less, never more.
  /// @return    whether @p tokens were taken
  [[nodiscard]] bool
  take(const bucket_terms& terms, std::uint64_t tokens, std::uint64_t at) noexcept {
    return take_some(terms, tokens, tokens, at) == tokens;
  }
  /// Takes what is there, up to @p most, unless it is less than @p least. @return tokens taken
  [[nodiscard]] std::uint64_t take_some(const bucket_terms& terms,
                                        std::uint64_t least,
                                        std::uint64_t most,
                                        std::uint64_t at) noexcept {
    auto spent = spent_.load(std::memory_order_relaxed);
    while (true) {
      const auto here = std::min(most, terms.whole(left(terms, spent, at)));
      if (here < least || here == 0)
        return 0;
      if (spent_.compare_exchange_weak(spent, std::max(spent, at) + terms.fixed(here),
                                       std::memory_order_relaxed))
        return here;
    }
  }
  /// Tokens that were taken and not used.
  void give_back(const bucket_terms& terms, std::uint64_t tokens) noexcept {
    spent_.fetch_sub(terms.fixed(tokens), std::memory_order_relaxed);
  }
  /// How long until @p tokens are there, if nobody else takes any. At most a burst.
  [[nodiscard]] duration
  wait_for(const bucket_terms& terms, std::uint64_t tokens, std::uint64_t at) const noexcept {
    const auto here = left(terms, spent_.load(std::memory_order_relaxed), at);
    const auto wanted = terms.fixed(std::min(tokens, terms.burst()));
    return here >= wanted ? duration{0} : terms.time_for(wanted - here);
  }
  /// Says nothing that a new bucket would not say.
  [[nodiscard]] bool full(std::uint64_t at) const noexcept {
    return spent_.load(std::memory_order_relaxed) <= at;
  }
  /// Goes on where @p other is. Only while nobody else uses this one.
  void copy(const bucket& other) noexcept {
    spent_.store(other.spent_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }

private:
  /// In fixed point.
  [[nodiscard]] static std::uint64_t
  left(const bucket_terms& terms, std::uint64_t spent, std::uint64_t at) noexcept {
    const auto burst = terms.fixed(terms.burst());
    const auto ahead = spent > at ? spent - at : 0;
    return burst > ahead ? burst - ahead : 0;
  }

  std::atomic<std::uint64_t> spent_{0};
};

} // namespace marchproxy::limiting

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/limiting/bucket.hpp"

namespace marchproxy::limiting {

namespace {

__extension__ using wide = unsigned __int128;

constexpr unsigned fraction = 55; ///< bits; a nanosecond has at most 2^7 tokens
constexpr unsigned most_point = 20;
constexpr std::uint64_t most_portion = 64 * 1024;
constexpr std::uint64_t nanoseconds_per_second = 1'000'000'000;

/// As many bits as leave the tokens' clock room for years.
unsigned point_for(const model::rate_limit& limit) noexcept {
  constexpr std::uint64_t most_a_second = std::uint64_t{1} << 34;
  auto a_second = limit.rate / limit.interval + 1;
  unsigned out = 0;
  for (; out < most_point && a_second < most_a_second / 2; ++out)
    a_second *= 2;
  return out;
}

} // namespace

bucket_terms::bucket_terms(const model::rate_limit& limit) noexcept
  : burst_(limit.burst),
    portion_(std::clamp<std::uint64_t>(
      std::min(limit.rate / limit.interval / 100, most_portion), 1, limit.burst)),
    per_nanosecond_(0),
    point_(point_for(limit)) {
  per_nanosecond_ =
    static_cast<std::uint64_t>((static_cast<wide>(limit.rate) << (point_ + fraction))
                               / (limit.interval * nanoseconds_per_second));
}

std::uint64_t bucket_terms::at(duration since) const noexcept {
  const auto elapsed = static_cast<std::uint64_t>(std::max(since.count(), duration::rep{0}));
  return static_cast<std::uint64_t>((static_cast<wide>(elapsed) * per_nanosecond_) >> fraction);
}

duration bucket_terms::time_for(std::uint64_t fixed) const noexcept {
  const auto scaled = static_cast<wide>(fixed) << fraction;
  return duration{static_cast<duration::rep>((scaled + per_nanosecond_ - 1) / per_nanosecond_)};
}

} // namespace marchproxy::limiting

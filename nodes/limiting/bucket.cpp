// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/limiting/bucket.hpp"

#include "actors/policy/limit_terms.hpp"

namespace marchproxy::limiting {

namespace {

__extension__ using wide = unsigned __int128;

constexpr unsigned fraction = MP_TERMS_FRACTION;
constexpr std::uint64_t most_portion = 64 * 1024;

} // namespace

bucket_terms::bucket_terms(const model::rate_limit& limit) noexcept
  : burst_(limit.burst),
    portion_(std::clamp<std::uint64_t>(
      std::min(limit.rate / limit.interval / 100, most_portion), 1, limit.burst)) {
  const auto terms = policy::terms_of(limit);
  per_nanosecond_ = terms.per_nanosecond;
  point_ = terms.point;
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

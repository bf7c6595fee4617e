// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/limit_terms.hpp"

#include <cstdint>

namespace marchproxy::policy {

namespace {

__extension__ using wide = unsigned __int128;

constexpr unsigned most_point = 20;
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

mp_terms terms_of(const std::optional<model::rate_limit>& limit) noexcept {
  mp_terms out{};
  if (!limit)
    return out;
  out.point = point_for(*limit);
  // A nanosecond has at most 2^7 tokens.
  out.per_nanosecond =
    static_cast<mp_u64>((static_cast<wide>(limit->rate) << (out.point + MP_TERMS_FRACTION))
                        / (limit->interval * nanoseconds_per_second));
  out.burst = limit->burst << out.point;
  return out;
}

} // namespace marchproxy::policy

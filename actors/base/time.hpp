// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy {

/// Wall-clock time as stored and sent: microseconds since the epoch, UTC. Passed in, never read
/// inside decisions.
using time_point = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

/// RFC 3339 in UTC with six digits of fraction: `2026-11-24T01:02:03.000004Z`.
[[nodiscard]] std::string format_time(time_point at);
/// Accepts what format_time writes, with 0 to 6 digits of fraction; UTC (`Z`) only.
[[nodiscard]] std::optional<time_point> parse_time(std::string_view text) noexcept;
/// The system clock now. For the edges of the program; tests pass their own.
[[nodiscard]] time_point wall_now() noexcept;

} // namespace marchproxy

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::model {

/// A token bucket: over any W seconds at most burst + rate * W / interval pass.
struct rate_limit {
  std::uint64_t rate = 0;     ///< in each interval; at least 1
  std::uint32_t interval = 1; ///< seconds; 1..86400
  std::uint64_t burst = 0;    ///< at once; at least 1

  bool operator==(const rate_limit&) const = default;
};

/// Who shares a limit.
enum class limit_scope : std::uint8_t {
  together, ///< all flows of the mapping, or to the service
  source,   ///< each source address (IPv6: each /64) has it for itself
};

/// How much may pass (POL-7). At least one of the five is there.
struct limits {
  limit_scope per = limit_scope::together;
  std::optional<rate_limit> connections;        ///< new connections to destinations
  std::optional<std::uint32_t> max_connections; ///< at once
  std::optional<rate_limit> requests;           ///< of HTTP
  std::optional<rate_limit> packets;            ///< routed ones, and datagrams; both directions
  std::optional<rate_limit> bytes;              ///< both directions together

  [[nodiscard]] bool empty() const noexcept {
    return !connections && !max_connections && !requests && !packets && !bytes;
  }
  bool operator==(const limits&) const = default;
};

constexpr std::uint64_t most_events_per_interval = 1'000'000'000;
constexpr std::uint64_t most_bytes_per_interval = 100'000'000'000;
constexpr std::uint32_t most_connections = 1'000'000'000;
constexpr std::uint32_t longest_limit_interval = 86'400;
/// Seconds that an empty bucket may take to fill.
constexpr std::uint64_t longest_refill = 30UL * 86'400;

/// What passes in one second, at least 1: the burst of a limit that names none.
[[nodiscard]] constexpr std::uint64_t usual_burst(const rate_limit& limit) noexcept {
  return limit.rate > limit.interval ? limit.rate / limit.interval : 1;
}
/// Why @p limit cannot be kept, for people; nothing when it can.
/// @param most  of its rate
[[nodiscard]] std::optional<std::string_view> limit_fault(const rate_limit& limit,
                                                          std::uint64_t most) noexcept;

/// For people: `10 requests a second (burst 20), each source for itself`.
[[nodiscard]] std::string to_string(const limits& value);

} // namespace marchproxy::model

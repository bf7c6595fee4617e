// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/limits.hpp"

namespace marchproxy::model {

namespace {

std::string events(const rate_limit& limit, std::string_view what) {
  auto out = std::to_string(limit.rate) + " " + std::string{what} + " ";
  out += limit.interval == 1 ? "a second" : "in " + std::to_string(limit.interval) + " s";
  return out + " (burst " + std::to_string(limit.burst) + ")";
}

} // namespace

std::optional<std::string_view> limit_fault(const rate_limit& limit, std::uint64_t most) noexcept {
  if (limit.rate == 0 || limit.rate > most || limit.interval == 0
      || limit.interval > longest_limit_interval || limit.burst == 0)
    return "is out of range";
  // Neither product overflows: rate <= 1e11 and longest_refill < 2^22; the quotient is rounded so
  // that no burst beyond the bound passes.
  if (limit.burst > limit.rate * longest_refill / limit.interval)
    return "is more than 30 days of the rate";
  return std::nullopt;
}

std::string to_string(const limits& value) {
  std::string out;
  const auto add = [&](const std::string& one) { out += (out.empty() ? "" : ", ") + one; };
  if (value.connections)
    add(events(*value.connections, "connections"));
  if (value.max_connections)
    add(std::to_string(*value.max_connections) + " connections at once");
  if (value.requests)
    add(events(*value.requests, "requests"));
  if (value.packets)
    add(events(*value.packets, "packets"));
  if (value.bytes)
    add(events(*value.bytes, "bytes"));
  return out + (value.per == limit_scope::source ? ", each source for itself" : "");
}

} // namespace marchproxy::model

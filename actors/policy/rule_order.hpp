// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/model.hpp"

#include <compare>
#include <cstdint>
#include <vector>

namespace marchproxy::policy {

/// Where one (mapping, source, destination) stands among all others; the smallest that matches
/// decides (POL-3).
///
/// In this order: the mapping's priority; the destination's specificity (exact name, then the
/// wildcard with more labels, then the longer prefix, then `all`); the source's (the longer prefix,
/// then `all`); fewer ports; fewer protocols; the lower mapping id. Lengths of IPv4 prefixes count
/// 96 more, so that a host is a host in both families.
/// @source docs/architecture/rule-order.md
struct rank_key {
  std::uint64_t precedence = 0;
  std::uint64_t mapping = 0;

  auto operator<=>(const rank_key&) const = default;
};

/// What of a mapping and a destination service is left to match after both restrict it.
struct effective_match {
  model::protocol_set protocols = 0;    ///< never 0: expanded
  std::vector<model::port_range> ports; ///< for TCP and UDP; 0..65535 when neither restricts

  [[nodiscard]] bool matches(model::protocol protocol, std::uint16_t port) const noexcept;
};

/// @param destination  null for `all`
/// ICMP has no ports: a restriction to ports leaves ICMP out unless the mapping names it. Empty
/// protocols mean that nothing is left.
[[nodiscard]] effective_match effective(const model::mapping& m, const model::service* destination);

/// Specificity 0..255 of a side; null address for `all`.
[[nodiscard]] std::uint8_t specificity(const model::service_address* address) noexcept;

[[nodiscard]] rank_key order_of(const model::mapping& m,
                                std::uint8_t source_specificity,
                                std::uint8_t destination_specificity,
                                const effective_match& match) noexcept;

} // namespace marchproxy::policy

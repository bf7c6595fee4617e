// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <nlohmann/json_fwd.hpp>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::model {

/// Ports first..last, both included; 1..65535.
struct port_range {
  std::uint16_t first = 1;
  std::uint16_t last = 65535;

  auto operator<=>(const port_range&) const = default;
};

/// A set of ports in canonical form: ranges ascending, disjoint and not adjacent. Empty means "not
/// restricted".
class port_set {
public:
  port_set() = default;
  /// Sorts and merges. Ranges must be valid (1 <= first <= last).
  explicit port_set(std::vector<port_range> ranges);

  [[nodiscard]] const std::vector<port_range>& ranges() const noexcept { return ranges_; }
  [[nodiscard]] bool unrestricted() const noexcept { return ranges_.empty(); }
  /// True when unrestricted, or when @p port lies in a range.
  [[nodiscard]] bool allows(std::uint16_t port) const noexcept;
  /// Canonical text: `80,443,8000-8080`; empty when unrestricted.
  [[nodiscard]] std::string text() const;
  bool operator==(const port_set&) const = default;

private:
  std::vector<port_range> ranges_;
};

/// What both allow. @return nothing when both are restricted and share no port.
[[nodiscard]] std::vector<port_range> intersection(const port_set& a, const port_set& b);

/// Text form: `80`, `8000-8080`, `80, 443,8000-8080`; empty, `*`, `any` and `all` mean
/// unrestricted.
/// @errors invalid_argument naming @p field; too_large past 1,024 ranges or 16 KiB of text
[[nodiscard]] result<port_set> parse_ports(std::string_view text, std::string_view field);

/// JSON form (POL-2, COMPAT-2): a number, a text as above, `{"port":80}`, `{"start":1,"end":9}`
/// (also `from`/`to`, `first`/`last`), null, or an array that mixes them.
/// @errors as above; the field carries the index of the bad element: `ports[3]`
[[nodiscard]] result<port_set> parse_ports_json(const nlohmann::json& value,
                                                std::string_view field);

} // namespace marchproxy::model

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace marchproxy::bus {

// Members of JSON from elsewhere, read without exceptions: what is missing or of another type is
// empty.

[[nodiscard]] inline std::string text_at(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

/// Whole numbers from 0 up.
[[nodiscard]] inline std::optional<std::uint64_t> count_at(const nlohmann::json& object,
                                                           const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned())
    return std::nullopt;
  return found->get<std::uint64_t>();
}

} // namespace marchproxy::bus

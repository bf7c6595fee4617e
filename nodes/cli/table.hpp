// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <span>
#include <string>
#include <string_view>

namespace marchproxy::cli {

/// A value on one line: texts bare, selectors as `web`, `#7` or `collection:db`, other lists joined
/// with commas. Control characters are shown escaped, so that no answer can drive the terminal.
[[nodiscard]] std::string cell(const nlohmann::json& value);

/// Rows under a head in capitals, columns as wide as they need.
[[nodiscard]] std::string table(const nlohmann::json& rows,
                                std::span<const std::string_view> columns);

/// `field: value` lines of one object, in its order; inner objects are indented.
[[nodiscard]] std::string fields(const nlohmann::json& value, std::size_t indent = 0);

} // namespace marchproxy::cli

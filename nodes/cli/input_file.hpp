// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <iosfwd>
#include <string>

namespace marchproxy::cli {

/// All of the file that -f names; `-` is @p standard_input, and no name an empty text.
/// @errors not_found
[[nodiscard]] result<std::string> read_file(const std::string& name, std::istream& standard_input);

} // namespace marchproxy::cli

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string_view>

namespace marchproxy {

/// `vMajor.Minor.Patch.build` from the file .version (VER-1).
[[nodiscard]] std::string_view version() noexcept;

} // namespace marchproxy

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string_view>

namespace marchproxy::crypto {

/// Whether two byte strings are the same, in a time that depends on their lengths only. For tokens
/// and digests.
[[nodiscard]] bool equal(std::string_view a, std::string_view b) noexcept;

} // namespace marchproxy::crypto

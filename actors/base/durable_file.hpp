// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy {

/// Puts @p bytes in the place of the file at @p path, with mode 0600: written beside it
/// (`<path>.new`), fsynced, renamed, and the directory fsynced. After any crash the file is the one
/// before or this one, whole.
/// @errors unavailable with the path and the reason
[[nodiscard]] result<void> replace_file(const std::filesystem::path& path, std::string_view bytes);

/// Renames, and the directory of @p to says so after any crash. @errors unavailable
[[nodiscard]] result<void> rename_durably(const std::filesystem::path& from,
                                          const std::filesystem::path& to);

/// The whole file; nothing when it cannot be read.
[[nodiscard]] std::optional<std::string> read_file(const std::filesystem::path& path);

} // namespace marchproxy

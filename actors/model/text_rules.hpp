// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace marchproxy::model {

/// What is wrong with a text of people (names, comments): not UTF-8 (RFC 3629: no overlong forms,
/// no surrogates), control characters (C0, C1, DEL), or marks that reorder what is displayed
/// (U+202A-202E, U+2066-2069). Nothing when it is fine.
[[nodiscard]] std::optional<std::string_view> text_fault(std::string_view text) noexcept;

/// ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$
[[nodiscard]] bool is_cluster_name(std::string_view text) noexcept;
/// ^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$; collections are named alike.
[[nodiscard]] bool is_service_name(std::string_view text) noexcept;
/// ^[A-Za-z0-9_-]{1,64}$
[[nodiscard]] bool is_credential_id(std::string_view text) noexcept;
/// An absolute path and optional query of visible ASCII, at most 255 bytes, without `#`.
[[nodiscard]] bool is_http_path(std::string_view text) noexcept;

/// The candidate that @p name was probably meant to be (at most two edits, and fewer than half of
/// its letters); nothing when none is close.
[[nodiscard]] std::optional<std::string_view>
nearest_name(std::string_view name, std::span<const std::string_view> candidates);

/// @p text for an error message: at most 64 bytes, everything but visible ASCII as `?`.
[[nodiscard]] std::string printable(std::string_view text);

} // namespace marchproxy::model

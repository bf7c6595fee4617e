// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// What of HTTP an administrator may configure.
namespace marchproxy::model {

constexpr std::size_t most_header_conditions = 8; ///< of one route

/// Whether a path has a segment `.` or `..`, percent-encoded or not: servers resolve it, so two of
/// them need not agree what the path means.
[[nodiscard]] bool has_dot_segment(std::string_view path) noexcept;
/// An absolute path of visible ASCII without query, at most 255 bytes, without dot segments and
/// without empty segments but the last.
[[nodiscard]] bool is_route_path(std::string_view text) noexcept;
/// A path, or http:// or https:// with something behind it; visible ASCII.
[[nodiscard]] bool is_location(std::string_view text) noexcept;
[[nodiscard]] bool is_redirect_status(unsigned status) noexcept;
/// A token (RFC 9110 5.6.2) in lower case that neither frames messages, nor governs connections,
/// nor says whom the message is for or whom it is from.
[[nodiscard]] bool is_changeable_header(std::string_view name) noexcept;
/// A token in lower case that a route may have conditions on: any but what `host` is for and what
/// we say ourselves.
[[nodiscard]] bool is_condition_header(std::string_view name) noexcept;
/// Visible ASCII, and spaces within. May be empty.
[[nodiscard]] bool is_header_value(std::string_view text) noexcept;
/// A URI (RFC 3986) as far as it matters here: a scheme, a colon and something behind it; visible
/// ASCII, at most 255 bytes.
[[nodiscard]] bool is_uri(std::string_view text) noexcept;
/// ASCII letters in lower case.
[[nodiscard]] std::string lower_case(std::string_view text);

} // namespace marchproxy::model

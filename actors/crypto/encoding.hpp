// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::crypto {

/// Lower-case hexadecimal.
[[nodiscard]] std::string to_hex(std::string_view bytes);
/// Strict: an even number of digits of either case, nothing else.
[[nodiscard]] std::optional<std::string> from_hex(std::string_view text);

/// RFC 4648 section 4, with padding.
[[nodiscard]] std::string to_base64(std::string_view bytes);
/// Strict: complete padding, no white space, unused bits 0: each value has one encoding.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

/// RFC 4648 section 5, without padding (RFC 7515 section 2).
[[nodiscard]] std::string to_base64url(std::string_view bytes);
/// Strict, as from_base64; padding is an error.
[[nodiscard]] std::optional<std::string> from_base64url(std::string_view text);

/// RFC 4648 section 6 in upper case, without padding, as nkeys use it.
[[nodiscard]] std::string to_base32(std::string_view bytes);
[[nodiscard]] std::optional<std::string> from_base32(std::string_view text);

} // namespace marchproxy::crypto

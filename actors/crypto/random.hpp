// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstddef>
#include <string>

namespace marchproxy::crypto {

/// @p count bytes of the operating system's generator, by way of OpenSSL's.
[[nodiscard]] std::string random_bytes(std::size_t count);

/// base64url of @p count random bytes: a token with 8 * @p count bits of entropy.
[[nodiscard]] std::string random_token(std::size_t count);

} // namespace marchproxy::crypto

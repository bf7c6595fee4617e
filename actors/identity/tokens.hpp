// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/strong_id.hpp"
#include "actors/base/time.hpp"
#include "actors/crypto/secret.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::identity {

/// A token, to be shown once, and what is stored of it (SEC-3). 256 random bits: a fast hash is
/// enough.
struct minted_token {
  crypto::secret text;
  std::string hash; ///< token_hash() of it
};

/// base64url of 32 random bytes: for session cookies and CSRF tokens.
[[nodiscard]] minted_token mint_token();
/// `mpa_` and 43 characters.
[[nodiscard]] minted_token mint_api_key();
/// Lower-case hexadecimal SHA-256: the key that sessions, API keys and Base64 credentials are found
/// by. Looking up a hash tells nothing of the token by its time.
[[nodiscard]] std::string token_hash(std::string_view token);
/// Of the form that mint_api_key() gives.
[[nodiscard]] bool looks_like_api_key(std::string_view text) noexcept;

/// @errors invalid_argument naming @p field: shorter than 12 characters, longer than 256 bytes, not
/// text, the user's name in it, or a single character over and over
[[nodiscard]] result<void>
check_new_password(const crypto::secret& password, std::string_view user_name, std::string field);

} // namespace marchproxy::identity

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/crypto/secret.hpp"

#include <string>
#include <string_view>

namespace marchproxy::crypto {

/// A key for AES-256-GCM. With random nonces one key seals at most 2^32 messages (NIST SP
/// 800-38D 8.3).
class sealing_key {
public:
  /// @errors invalid_argument unless @p bytes has 32 bytes
  [[nodiscard]] static result<sealing_key> from_bytes(const secret& bytes);
  [[nodiscard]] static sealing_key generate();
  [[nodiscard]] const secret& bytes() const noexcept { return bytes_; }

private:
  explicit sealing_key(secret bytes) : bytes_{std::move(bytes)} {}
  secret bytes_;
};

/// nonce (12 bytes, random) + ciphertext + tag (16 bytes).
/// @param associated  what the plaintext belongs to (table, row, column, cluster, key id): open()
/// needs the same
[[nodiscard]] std::string
seal(const sealing_key& key, std::string_view plaintext, std::string_view associated);

/// @errors corrupt if @p sealed was not made by seal() with this key and @p associated
[[nodiscard]] result<secret>
open(const sealing_key& key, std::string_view sealed, std::string_view associated);

} // namespace marchproxy::crypto

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/crypto/ed25519.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace marchproxy::bus {

/// What an nkey stands for. The value is the prefix byte that makes the first letter of the text:
/// O, A or U.
enum class nkey_kind : std::uint8_t { account = 0, deployment = 14 << 3, user = 20 << 3 };

/// An Ed25519 key pair with NATS's text forms (base32 of prefix, key and CRC-16).
class nkey {
public:
  [[nodiscard]] static nkey generate(nkey_kind kind);
  /// HKDF-SHA256 of a secret of high entropy, so that two sides have the key without sending it.
  [[nodiscard]] static nkey
  derive(nkey_kind kind, const crypto::secret& from, std::string_view salt, std::string_view info);
  /// @errors invalid_argument unless @p seed is what seed() writes
  [[nodiscard]] static result<nkey> from_seed(const crypto::secret& seed);

  [[nodiscard]] nkey_kind kind() const noexcept { return kind_; }
  /// 56 letters and digits, the first of them O, A or U.
  [[nodiscard]] const std::string& public_key() const noexcept { return public_key_; }
  /// The text that nsc writes to .nk files: S, the kind's letter, ...
  [[nodiscard]] crypto::secret seed() const;
  [[nodiscard]] std::string sign(std::string_view message) const;

private:
  nkey(nkey_kind kind, crypto::ed25519_key key);

  nkey_kind kind_;
  crypto::ed25519_key key_;
  std::string public_key_;
};

/// The raw key in the public nkey @p text.
/// @errors invalid_argument unless it is one of @p kind with a good checksum
[[nodiscard]] result<crypto::ed25519_public_key> parse_public_nkey(nkey_kind kind,
                                                                   std::string_view text);

} // namespace marchproxy::bus

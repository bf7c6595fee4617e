// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/crypto/secret.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

struct evp_pkey_st;

namespace marchproxy::crypto {

/// The signatures of RFC 7518 that tokens may carry. The caller pins one; the token's own header
/// never chooses.
enum class signature_algorithm : std::uint8_t { hs256, rs256, es256, eddsa };

/// `HS256`, `RS256`, `ES256` or `EdDSA`.
[[nodiscard]] std::optional<signature_algorithm>
parse_signature_algorithm(std::string_view name) noexcept;
[[nodiscard]] std::string_view to_string(signature_algorithm algorithm) noexcept;

/// A key bound to its algorithm, parsed once. Immutable; verify() is safe from several threads.
class verification_key {
public:
  /// @param text  HS256: base64url of at least 32 bytes (RFC 7518 3.2). Others: a PEM public key of
  /// the algorithm's
  ///              type; RSA of at least 2048 bits (3.3), the curve P-256 (3.4), Ed25519 (RFC 8037).
  /// @errors      invalid_argument, saying what is wrong with @p text
  [[nodiscard]] static result<verification_key> parse(signature_algorithm algorithm,
                                                      std::string_view text);

  [[nodiscard]] signature_algorithm algorithm() const noexcept { return algorithm_; }
  /// @param signature  the raw bytes; for ES256 r || s, 64 bytes (RFC 7518 3.4)
  [[nodiscard]] bool verify(std::string_view message, std::string_view signature) const;

private:
  signature_algorithm algorithm_ = signature_algorithm::hs256;
  secret shared_;                           // HS256
  std::shared_ptr<evp_pkey_st> public_key_; // the others
};

/// parse() and verify() in one; false as well for a key that does not parse.
[[nodiscard]] bool verify_signature(signature_algorithm algorithm,
                                    std::string_view key,
                                    std::string_view message,
                                    std::string_view signature);

} // namespace marchproxy::crypto

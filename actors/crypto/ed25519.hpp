// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/crypto/secret.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

struct evp_pkey_st;

namespace marchproxy::crypto {

using ed25519_public_key = std::array<std::uint8_t, 32>;
using ed25519_signature = std::array<std::uint8_t, 64>;

/// An Ed25519 key pair (RFC 8032). Signing is const and safe from several threads at once.
class ed25519_key {
public:
  /// @errors invalid_argument unless @p seed has 32 bytes
  [[nodiscard]] static result<ed25519_key> from_seed(const secret& seed);
  [[nodiscard]] static ed25519_key generate();
  /// The key that HKDF-SHA256 makes of a secret of high entropy: the same on both sides that know
  /// it.
  [[nodiscard]] static ed25519_key
  derive(const secret& from, std::string_view salt, std::string_view info);

  [[nodiscard]] const ed25519_public_key& public_key() const noexcept { return public_key_; }
  [[nodiscard]] const secret& seed() const noexcept { return seed_; }
  [[nodiscard]] ed25519_signature sign(std::string_view message) const;

private:
  explicit ed25519_key(secret seed);

  struct free_key {
    void operator()(evp_pkey_st* key) const noexcept;
  };
  secret seed_;
  ed25519_public_key public_key_{};
  std::shared_ptr<evp_pkey_st> key_; // immutable, so copies share it
};

[[nodiscard]] bool
ed25519_verify(const ed25519_public_key& key, std::string_view message, std::string_view signature);

} // namespace marchproxy::crypto

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/crypto/encoding.hpp"
#include "actors/crypto/secret.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace marchproxy::crypto {

using sha256_digest = std::array<std::uint8_t, 32>;

/// The bytes of an array as the functions of this room take them.
template <std::size_t N>
[[nodiscard]] std::string_view view(const std::array<std::uint8_t, N>& bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), N};
}

[[nodiscard]] sha256_digest sha256(std::string_view bytes);
/// sha256 as 64 hexadecimal digits.
[[nodiscard]] std::string sha256_hex(std::string_view bytes);

/// SHA-256 of bytes that arrive in pieces.
class sha256_hasher {
public:
  sha256_hasher();
  sha256_hasher& update(std::string_view bytes);
  /// The digest of everything so far; the hasher starts anew.
  [[nodiscard]] sha256_digest finish();

private:
  struct free_context {
    void operator()(evp_md_ctx_st* context) const noexcept;
  };
  std::unique_ptr<evp_md_ctx_st, free_context> context_;
};

[[nodiscard]] sha256_digest hmac_sha256(std::string_view key, std::string_view message);

/// RFC 5869 with SHA-256: extract, then expand to @p length bytes (1 to 8160).
[[nodiscard]] secret
hkdf_sha256(const secret& key, std::string_view salt, std::string_view info, std::size_t length);

} // namespace marchproxy::crypto

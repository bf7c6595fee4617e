// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/password.hpp"

#include <sodium.h>

#include <array>

namespace marchproxy::crypto {
namespace {

void require_sodium() {
  static const bool ready = sodium_init() >= 0;
  MP_INVARIANT(ready);
}

} // namespace

result<std::string> hash_password(const secret& password) {
  require_sodium();
  std::array<char, crypto_pwhash_argon2id_STRBYTES> hash{};
  const auto bytes = password.expose();
  if (crypto_pwhash_argon2id_str(hash.data(), bytes.data(), bytes.size(),
                                 crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE,
                                 crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE)
      != 0)
    return fail(errc::unavailable, "not enough memory to hash a password");
  return std::string{hash.data()};
}

bool verify_password(const std::string& hash, const secret& password) {
  require_sodium();
  const auto bytes = password.expose();
  return crypto_pwhash_argon2id_str_verify(hash.c_str(), bytes.data(), bytes.size()) == 0;
}

} // namespace marchproxy::crypto

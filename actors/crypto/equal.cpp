// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/equal.hpp"

#include <openssl/crypto.h>

namespace marchproxy::crypto {

bool equal(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

} // namespace marchproxy::crypto

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/random.hpp"

#include "actors/base/error.hpp"
#include "actors/crypto/encoding.hpp"

#include <openssl/rand.h>

namespace marchproxy::crypto {

std::string random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  MP_INVARIANT(
    RAND_priv_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) == 1);
  return bytes;
}

std::string random_token(std::size_t count) {
  return to_base64url(random_bytes(count));
}

} // namespace marchproxy::crypto

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/secret.hpp"

#include <openssl/crypto.h>

namespace marchproxy::crypto {

secret secret::take(std::string& bytes) {
  secret taken{bytes};
  crypto::wipe(bytes);
  return taken;
}

secret& secret::operator=(const secret& other) {
  if (this != &other)
    *this = secret{other};
  return *this;
}

secret& secret::operator=(secret&& other) noexcept {
  if (this != &other) {
    wipe();
    bytes_ = std::move(other.bytes_);
    other.bytes_.clear();
  }
  return *this;
}

secret::~secret() {
  wipe();
}

void secret::wipe() noexcept {
  if (!bytes_.empty())
    OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

void wipe(std::string& bytes) noexcept {
  OPENSSL_cleanse(bytes.data(), bytes.size());
  bytes.clear();
}

} // namespace marchproxy::crypto

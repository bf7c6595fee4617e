// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/digest.hpp"

#include "actors/base/error.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace marchproxy::crypto {

sha256_digest sha256(std::string_view bytes) {
  sha256_digest digest{};
  MP_INVARIANT(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr)
               == 1);
  return digest;
}

std::string sha256_hex(std::string_view bytes) {
  return to_hex(view(sha256(bytes)));
}

void sha256_hasher::free_context::operator()(evp_md_ctx_st* context) const noexcept {
  EVP_MD_CTX_free(context);
}

sha256_hasher::sha256_hasher() : context_{EVP_MD_CTX_new()} {
  MP_INVARIANT(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

sha256_hasher& sha256_hasher::update(std::string_view bytes) {
  MP_INVARIANT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  return *this;
}

sha256_digest sha256_hasher::finish() {
  sha256_digest digest{};
  MP_INVARIANT(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
  MP_INVARIANT(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  return digest;
}

sha256_digest hmac_sha256(std::string_view key, std::string_view message) {
  sha256_digest digest{};
  MP_INVARIANT(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                    reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                    digest.data(), nullptr)
               != nullptr);
  return digest;
}

secret
hkdf_sha256(const secret& key, std::string_view salt, std::string_view info, std::size_t length) {
  MP_INVARIANT(length >= 1 && length <= 255 * std::size_t{32});
  auto pseudo_random_key = hmac_sha256(salt, key.expose());
  std::string output;
  std::string block;
  for (std::uint8_t counter = 1; output.size() < length; ++counter) {
    block.append(info).push_back(static_cast<char>(counter));
    block = std::string{view(hmac_sha256(view(pseudo_random_key), block))};
    output.append(block);
  }
  output.resize(length);
  wipe(block);
  return secret::take(output);
}

} // namespace marchproxy::crypto

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/ed25519.hpp"

#include "actors/crypto/digest.hpp"
#include "actors/crypto/random.hpp"

#include <openssl/evp.h>

#include <utility>

namespace marchproxy::crypto {
namespace {

constexpr std::size_t seed_size = 32;

struct free_context {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};
using context_ptr = std::unique_ptr<EVP_MD_CTX, free_context>;

const unsigned char* raw(std::string_view bytes) noexcept {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

} // namespace

void ed25519_key::free_key::operator()(evp_pkey_st* key) const noexcept {
  EVP_PKEY_free(key);
}

ed25519_key::ed25519_key(secret seed) : seed_{std::move(seed)} {
  key_.reset(
    EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw(seed_.expose()), seed_.size()),
    free_key{});
  auto size = public_key_.size();
  MP_INVARIANT(key_ && EVP_PKEY_get_raw_public_key(key_.get(), public_key_.data(), &size) == 1);
}

result<ed25519_key> ed25519_key::from_seed(const secret& seed) {
  if (seed.size() != seed_size)
    return fail(errc::invalid_argument, "an Ed25519 seed has 32 bytes");
  return ed25519_key{seed};
}

ed25519_key ed25519_key::generate() {
  auto seed = random_bytes(seed_size);
  return ed25519_key{secret::take(seed)};
}

ed25519_key ed25519_key::derive(const secret& from, std::string_view salt, std::string_view info) {
  return ed25519_key{hkdf_sha256(from, salt, info, seed_size)};
}

ed25519_signature ed25519_key::sign(std::string_view message) const {
  const context_ptr context{EVP_MD_CTX_new()};
  ed25519_signature signature{};
  auto size = signature.size();
  MP_INVARIANT(
    context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1
    && EVP_DigestSign(context.get(), signature.data(), &size, raw(message), message.size()) == 1);
  return signature;
}

bool ed25519_verify(const ed25519_public_key& key,
                    std::string_view message,
                    std::string_view signature) {
  struct free_key {
    void operator()(EVP_PKEY* k) const noexcept { EVP_PKEY_free(k); }
  };
  const std::unique_ptr<EVP_PKEY, free_key> parsed{
    EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size())};
  const context_ptr context{EVP_MD_CTX_new()};
  return parsed && context
         && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, parsed.get()) == 1
         && EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(message),
                             message.size())
              == 1;
}

} // namespace marchproxy::crypto

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/seal.hpp"

#include "actors/crypto/random.hpp"

#include <openssl/evp.h>

#include <memory>

namespace marchproxy::crypto {
namespace {

constexpr std::size_t key_size = 32;
constexpr std::size_t nonce_size = 12;
constexpr std::size_t tag_size = 16;

struct free_context {
  void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};
using context_ptr = std::unique_ptr<EVP_CIPHER_CTX, free_context>;

const unsigned char* raw(std::string_view bytes) noexcept {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

unsigned char* raw(std::string& bytes) noexcept {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

int length(std::string_view bytes) noexcept {
  return static_cast<int>(bytes.size());
}

} // namespace

result<sealing_key> sealing_key::from_bytes(const secret& bytes) {
  if (bytes.size() != key_size)
    return fail(errc::invalid_argument, "a sealing key has 32 bytes");
  return sealing_key{bytes};
}

sealing_key sealing_key::generate() {
  auto bytes = random_bytes(key_size);
  return sealing_key{secret::take(bytes)};
}

std::string seal(const sealing_key& key, std::string_view plaintext, std::string_view associated) {
  const context_ptr context{EVP_CIPHER_CTX_new()};
  const auto nonce = random_bytes(nonce_size);
  std::string ciphertext(plaintext.size(), '\0');
  std::string tag(tag_size, '\0');
  int written = 0;
  MP_INVARIANT(
    context
    && EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, raw(key.bytes().expose()),
                          raw(std::string_view{nonce}))
         == 1
    && EVP_EncryptUpdate(context.get(), nullptr, &written, raw(associated), length(associated)) == 1
    && EVP_EncryptUpdate(context.get(), raw(ciphertext), &written, raw(plaintext),
                         length(plaintext))
         == 1
    && EVP_EncryptFinal_ex(context.get(), raw(ciphertext) + written, &written) == 1
    && EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, tag_size, tag.data()) == 1);
  return nonce + ciphertext + tag;
}

result<secret> open(const sealing_key& key, std::string_view sealed, std::string_view associated) {
  if (sealed.size() < nonce_size + tag_size)
    return fail(errc::corrupt, "sealed data is too short");
  const auto nonce = sealed.substr(0, nonce_size);
  const auto ciphertext = sealed.substr(nonce_size, sealed.size() - nonce_size - tag_size);
  std::string tag{sealed.substr(sealed.size() - tag_size)};
  std::string plaintext(ciphertext.size(), '\0');
  const context_ptr context{EVP_CIPHER_CTX_new()};
  int written = 0;
  const auto opened =
    context
    && EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, raw(key.bytes().expose()),
                          raw(nonce))
         == 1
    && EVP_DecryptUpdate(context.get(), nullptr, &written, raw(associated), length(associated)) == 1
    && EVP_DecryptUpdate(context.get(), raw(plaintext), &written, raw(ciphertext),
                         length(ciphertext))
         == 1
    && EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, tag_size, tag.data()) == 1
    && EVP_DecryptFinal_ex(context.get(), raw(plaintext) + written, &written) == 1;
  auto taken = secret::take(plaintext);
  if (!opened)
    return fail(errc::corrupt, "sealed data fails its authentication");
  return taken;
}

} // namespace marchproxy::crypto

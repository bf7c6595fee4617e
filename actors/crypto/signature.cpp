// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/signature.hpp"

#include "actors/crypto/digest.hpp"
#include "actors/crypto/encoding.hpp"
#include "actors/crypto/equal.hpp"

#include <openssl/bio.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <array>
#include <string>
#include <utility>

namespace marchproxy::crypto {
namespace {

constexpr std::size_t smallest_shared_key = 32;
constexpr int smallest_rsa_bits = 2048;
constexpr std::size_t p256_scalar = 32;

template <auto Free>
struct free_with {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using bio_ptr = std::unique_ptr<BIO, free_with<BIO_free_all>>;
using md_context_ptr = std::unique_ptr<EVP_MD_CTX, free_with<EVP_MD_CTX_free>>;
using bignum_ptr = std::unique_ptr<BIGNUM, free_with<BN_free>>;
using ecdsa_ptr = std::unique_ptr<ECDSA_SIG, free_with<ECDSA_SIG_free>>;

const unsigned char* raw(std::string_view bytes) noexcept {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

std::shared_ptr<EVP_PKEY> read_public_key(std::string_view pem) {
  const bio_ptr bio{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
  // Without a password callback OpenSSL would ask the terminal about an encrypted file.
  const auto no_password = [](char*, int, int, void*) { return 0; };
  EVP_PKEY* key = bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, no_password, nullptr) : nullptr;
  ERR_clear_error();
  return {key, EVP_PKEY_free};
}

std::string group_of(const EVP_PKEY* key) {
  std::array<char, 64> name{};
  std::size_t size = 0;
  return EVP_PKEY_get_group_name(key, name.data(), name.size(), &size) == 1
           ? std::string{name.data()}
           : std::string{};
}

/// What keeps @p key from serving @p algorithm; empty if nothing does.
std::string_view objection(signature_algorithm algorithm, const EVP_PKEY* key) {
  switch (algorithm) {
  case signature_algorithm::hs256:
    return "HS256 takes a shared secret, not a public key";
  case signature_algorithm::rs256:
    if (EVP_PKEY_is_a(key, "RSA") != 1)
      return "RS256 takes an RSA key";
    return EVP_PKEY_get_bits(key) < smallest_rsa_bits ? "an RSA key has at least 2048 bits" : "";
  case signature_algorithm::es256:
    return EVP_PKEY_is_a(key, "EC") == 1 && group_of(key) == "prime256v1"
             ? ""
             : "ES256 takes a key on the curve P-256";
  case signature_algorithm::eddsa:
    return EVP_PKEY_is_a(key, "ED25519") == 1 ? "" : "EdDSA takes an Ed25519 key";
  }
  return "unknown algorithm";
}

/// RFC 7518 3.4 sends r || s; OpenSSL takes the DER form. Empty if @p signature has another length.
std::string der_signature(std::string_view signature) {
  if (signature.size() != 2 * p256_scalar)
    return {};
  bignum_ptr r{BN_bin2bn(raw(signature), p256_scalar, nullptr)};
  bignum_ptr s{BN_bin2bn(raw(signature.substr(p256_scalar)), p256_scalar, nullptr)};
  const ecdsa_ptr pair{ECDSA_SIG_new()};
  MP_INVARIANT(r && s && pair && ECDSA_SIG_set0(pair.get(), r.get(), s.get()) == 1);
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  unsigned char* der = nullptr;
  const auto size = i2d_ECDSA_SIG(pair.get(), &der);
  MP_INVARIANT(size > 0);
  std::string text{reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)};
  OPENSSL_free(der);
  return text;
}

bool verify_with(EVP_PKEY* key,
                 const EVP_MD* digest,
                 std::string_view message,
                 std::string_view signature) {
  const md_context_ptr context{EVP_MD_CTX_new()};
  const auto good = context
                    && EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key) == 1
                    && EVP_DigestVerify(context.get(), raw(signature), signature.size(),
                                        raw(message), message.size())
                         == 1;
  ERR_clear_error(); // a forged signature leaves entries in this thread's queue
  return good;
}

} // namespace

std::optional<signature_algorithm> parse_signature_algorithm(std::string_view name) noexcept {
  for (const auto algorithm : {signature_algorithm::hs256, signature_algorithm::rs256,
                               signature_algorithm::es256, signature_algorithm::eddsa})
    if (to_string(algorithm) == name)
      return algorithm;
  return std::nullopt;
}

std::string_view to_string(signature_algorithm algorithm) noexcept {
  switch (algorithm) {
  case signature_algorithm::hs256:
    return "HS256";
  case signature_algorithm::rs256:
    return "RS256";
  case signature_algorithm::es256:
    return "ES256";
  case signature_algorithm::eddsa:
    return "EdDSA";
  }
  return "";
}

result<verification_key> verification_key::parse(signature_algorithm algorithm,
                                                 std::string_view text) {
  verification_key parsed;
  parsed.algorithm_ = algorithm;
  if (algorithm == signature_algorithm::hs256) {
    auto bytes = from_base64url(text);
    if (!bytes)
      return fail(errc::invalid_argument, "the HS256 secret is not base64url");
    parsed.shared_ = secret::take(*bytes);
    if (parsed.shared_.size() < smallest_shared_key)
      return fail(errc::invalid_argument, "an HS256 secret has at least 32 bytes");
    return parsed;
  }
  parsed.public_key_ = read_public_key(text);
  if (!parsed.public_key_)
    return fail(errc::invalid_argument, "not a PEM public key");
  if (const auto why = objection(algorithm, parsed.public_key_.get()); !why.empty())
    return fail(errc::invalid_argument, std::string{why});
  return parsed;
}

bool verification_key::verify(std::string_view message, std::string_view signature) const {
  switch (algorithm_) {
  case signature_algorithm::hs256:
    // A default-constructed key holds no secret; an empty one must accept nothing.
    return !shared_.empty() && equal(view(hmac_sha256(shared_.expose(), message)), signature);
  case signature_algorithm::rs256:
    return verify_with(public_key_.get(), EVP_sha256(), message, signature);
  case signature_algorithm::es256:
    return verify_with(public_key_.get(), EVP_sha256(), message, der_signature(signature));
  case signature_algorithm::eddsa:
    return verify_with(public_key_.get(), nullptr, message, signature);
  }
  return false;
}

bool verify_signature(signature_algorithm algorithm,
                      std::string_view key,
                      std::string_view message,
                      std::string_view signature) {
  const auto parsed = verification_key::parse(algorithm, key);
  return parsed && parsed->verify(message, signature);
}

} // namespace marchproxy::crypto

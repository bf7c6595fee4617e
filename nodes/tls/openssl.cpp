// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/tls/openssl.hpp"

#include <openssl/err.h>

// OpenSSL's macros cast the C way.
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace marchproxy::tls {

namespace {

/// Of TLS 1.2; all of TLS 1.3's will do.
constexpr const char* ciphers =
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
  "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* groups = "X25519:P-256:P-384";

} // namespace

void free_chain::operator()(STACK_OF(X509) * chain) const noexcept {
  sk_X509_pop_free(chain, X509_free);
}

void free_names::operator()(STACK_OF(X509_NAME) * names) const noexcept {
  sk_X509_NAME_pop_free(names, X509_NAME_free);
}

std::string take_problem() {
  const auto code = ERR_peek_last_error();
  const auto* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  std::string out = reason != nullptr ? reason : "no reason given";
  ERR_clear_error();
  return out;
}

bool set_common_terms(SSL_CTX& context, encryption by) {
  if (by == encryption::kernel_may_too)
    SSL_CTX_set_options(&context, SSL_OP_ENABLE_KTLS);
  SSL_CTX_set_options(&context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION
                                  | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(&context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE
                               | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(&context, 1);
  return SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION) == 1
         && SSL_CTX_set_cipher_list(&context, ciphers) == 1
         && SSL_CTX_set1_groups_list(&context, groups) == 1;
}

} // namespace marchproxy::tls

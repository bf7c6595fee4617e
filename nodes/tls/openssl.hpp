// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/tls/kernel_tls.hpp"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdio>
#include <memory>
#include <string>

namespace marchproxy::tls {

/// Frees what OpenSSL made.
template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* what) const noexcept {
    Free(what);
  }
};
struct free_chain {
  void operator()(STACK_OF(X509) * chain) const noexcept;
};
struct free_names {
  void operator()(STACK_OF(X509_NAME) * names) const noexcept;
};

using bio_ptr = std::unique_ptr<BIO, freed_by<BIO_free>>;
using chain_ptr = std::unique_ptr<STACK_OF(X509), free_chain>;
using file_ptr = std::unique_ptr<std::FILE, freed_by<std::fclose>>;
using key_ptr = std::unique_ptr<EVP_PKEY, freed_by<EVP_PKEY_free>>;
using names_ptr = std::unique_ptr<STACK_OF(X509_NAME), free_names>;
using ssl_ctx_ptr = std::unique_ptr<SSL_CTX, freed_by<SSL_CTX_free>>;
using ssl_ptr = std::unique_ptr<SSL, freed_by<SSL_free>>;
using store_ptr = std::unique_ptr<X509_STORE, freed_by<X509_STORE_free>>;
using x509_ptr = std::unique_ptr<X509, freed_by<X509_free>>;

/// What OpenSSL says of this thread's last failure, in words; its queue is empty afterwards.
[[nodiscard]] std::string take_problem();

/// What clients and servers of ours have in common: TLS 1.2 and 1.3, forward secrecy and
/// authenticated encryption only, no renegotiation, and no buffers while a connection is idle.
/// @return false when OpenSSL refuses, which take_problem() explains
[[nodiscard]] bool set_common_terms(SSL_CTX& context, encryption by);

} // namespace marchproxy::tls

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/tls/acceptor.hpp"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <string_view>

// OpenSSL's macros cast the C way.
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace marchproxy::tls {

namespace {

constexpr std::string_view http1 = "http/1.1";
constexpr int deepest_chain = 8;
constexpr int most_chain_bytes = 32 * 1024;
constexpr long session_seconds = 3600;

channel& channel_of(const SSL* ssl) {
  return *static_cast<channel*>(SSL_get_app_data(ssl));
}

} // namespace

result<std::shared_ptr<const acceptor>>
acceptor::create(std::shared_ptr<const certificate_store> from, encryption by) {
  std::shared_ptr<acceptor> out{new acceptor{std::move(from)}};
  out->http_ = out->make_context(true, by);
  out->other_ = out->make_context(false, by);
  if (!out->http_ || !out->other_)
    return fail(errc::internal, "OpenSSL: " + take_problem());
  return out;
}

ssl_ctx_ptr acceptor::make_context(bool http, encryption by) {
  ssl_ctx_ptr out{SSL_CTX_new(TLS_server_method())};
  auto* context = out.get();
  if (context == nullptr || !set_common_terms(*context, by))
    return nullptr;
  SSL_CTX_set_app_data(context, this);
  SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
  SSL_CTX_set_tlsext_servername_arg(context, this);
  if (http)
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, session_seconds);
  SSL_CTX_set_max_cert_list(context, most_chain_bytes);
  SSL_CTX_set_verify_depth(context, deepest_chain);
  // A session of one kind of port is worth nothing at another.
  const std::string_view kind = http ? "http" : "tcp";
  if (SSL_CTX_set_tlsext_ticket_key_evp_cb(context, use_ticket_key) != 1
      || SSL_CTX_set_session_id_context(context,
                                        reinterpret_cast<const unsigned char*>(kind.data()),
                                        static_cast<unsigned>(kind.size()))
           != 1)
    return nullptr;
  return out;
}

std::unique_ptr<channel>
acceptor::accept(int fd, const accept_terms& terms, std::string early) const {
  ssl_ptr made{SSL_new(terms.http ? http_.get() : other_.get())};
  MP_INVARIANT(made != nullptr);
  auto* ssl = made.get();
  SSL_set_accept_state(ssl);
  if (terms.asks_who) {
    SSL_set_verify(ssl, SSL_VERIFY_PEER, note_client);
    SSL_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_set_num_tickets(ssl, 0);
    if (const auto now = from_->current(); now->clients) {
      SSL_set1_verify_cert_store(ssl, now->clients->store.get());
      SSL_set_client_CA_list(ssl, SSL_dup_CA_list(now->clients->names.get()));
    }
  }
  auto out = std::make_unique<channel>(std::move(made), fd, std::move(early));
  out->clients.asked = terms.asks_who;
  return out;
}

int acceptor::choose_certificate(SSL* ssl, int* alert, void* self) {
  const auto now = static_cast<acceptor*>(self)->from_->current();
  const auto& all = now->certificates;
  const auto* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const auto* chosen = name != nullptr ? all.find(name) : all.usual();
  if (chosen == nullptr) {
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  if (SSL_use_cert_and_key(ssl, chosen->leaf.get(), chosen->key.get(), chosen->chain.get(), 1)
      != 1) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  return SSL_TLSEXT_ERR_OK;
}

int acceptor::choose_protocol(SSL* /*ssl*/,
                              const unsigned char** out,
                              unsigned char* out_size,
                              const unsigned char* offered,
                              unsigned offered_size,
                              void* /*none*/) {
  // OpenSSL has checked the list's form.
  for (unsigned at = 0; at < offered_size; at += 1U + offered[at])
    if (std::string_view{reinterpret_cast<const char*>(offered + at + 1), offered[at]} == http1) {
      *out = offered + at + 1;
      *out_size = offered[at];
      return SSL_TLSEXT_ERR_OK;
    }
  return SSL_TLSEXT_ERR_ALERT_FATAL; // no_application_protocol (RFC 7301 3.2)
}

/// The handshake goes on: the first problem is kept, and routes decide.
int acceptor::note_client(int good, X509_STORE_CTX* verifying) {
  const auto* ssl = static_cast<const SSL*>(
    X509_STORE_CTX_get_ex_data(verifying, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto& found = channel_of(ssl).clients.verdict;
  if (good == 0 && found == X509_V_OK)
    found = X509_STORE_CTX_get_error(verifying);
  return 1;
}

int acceptor::use_ticket_key(SSL* ssl,
                             unsigned char* name,
                             unsigned char* iv,
                             EVP_CIPHER_CTX* cipher,
                             EVP_MAC_CTX* mac,
                             int sealing) {
  auto& tickets = static_cast<acceptor*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->tickets_;
  const auto now = ticket_keys::clock::now();
  auto key = sealing != 0 ? tickets.sealing(now)
                          : tickets.opening(std::span<const unsigned char, 16>{name, 16}, now)
                              .value_or(ticket_keys::key{});
  if (key.made == ticket_keys::clock::time_point{})
    return 0; // a full handshake
  std::array<OSSL_PARAM, 3> how{
    OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>("sha256"), 0),
    OSSL_PARAM_construct_end()};
  auto good = EVP_MAC_CTX_set_params(mac, how.data()) == 1;
  if (sealing != 0) {
    std::copy(key.name.begin(), key.name.end(), name);
    good = good && RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1
           && EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv) == 1;
  } else {
    good =
      good && EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv) == 1;
  }
  OPENSSL_cleanse(&key, sizeof key);
  return good ? 1 : -1;
}

} // namespace marchproxy::tls

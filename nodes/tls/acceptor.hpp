// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/tls/certificate_store.hpp"
#include "nodes/tls/channel.hpp"
#include "nodes/tls/ticket_keys.hpp"

#include <memory>
#include <string>

namespace marchproxy::tls {

/// What a listening port wants of its clients.
struct accept_terms {
  bool http = true;      ///< HTTP/1.1 is spoken (ALPN); else nothing is said about what is
  bool asks_who = false; ///< they are asked for a certificate
};

/// The server side of TLS. Any thread; connections belong to the thread that has them.
///
/// A client is served with the certificate that is in force when it comes; its connection keeps it.
/// One that names a server that no certificate has is told so (unrecognized_name). Sessions resume
/// by tickets, except where clients show certificates: what those are checked against may change.
class acceptor {
public:
  /// @errors internal when OpenSSL cannot do what we want of it
  [[nodiscard]] static result<std::shared_ptr<const acceptor>>
  create(std::shared_ptr<const certificate_store> from, encryption by = encryption::library);
  acceptor(const acceptor&) = delete;
  acceptor& operator=(const acceptor&) = delete;
  ~acceptor() = default;

  /// The server's end of a connection that was accepted. A client whose certificate is not good
  /// comes through all the same: channel::peer() says what is wrong with it.
  /// @param early  what was read of it already
  [[nodiscard]] std::unique_ptr<channel>
  accept(int fd, const accept_terms& terms, std::string early) const;

  [[nodiscard]] const certificate_store& certificates() const noexcept { return *from_; }

private:
  explicit acceptor(std::shared_ptr<const certificate_store> from) : from_(std::move(from)) {}
  [[nodiscard]] ssl_ctx_ptr make_context(bool http, encryption by);
  static int choose_certificate(SSL* ssl, int* alert, void* self);
  static int choose_protocol(SSL* ssl,
                             const unsigned char** out,
                             unsigned char* out_size,
                             const unsigned char* offered,
                             unsigned offered_size,
                             void* self);
  static int note_client(int good, X509_STORE_CTX* verifying);
  static int use_ticket_key(SSL* ssl,
                            unsigned char* name,
                            unsigned char* iv,
                            EVP_CIPHER_CTX* cipher,
                            EVP_MAC_CTX* mac,
                            int sealing);

  std::shared_ptr<const certificate_store> from_;
  mutable ticket_keys tickets_;
  ssl_ctx_ptr http_;
  ssl_ctx_ptr other_;
};

} // namespace marchproxy::tls

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/tls/conversation.test.hpp"

#include <algorithm>
#include <memory>
#include <string>

// OpenSSL's macros cast the C way.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace marchproxy::tls::testing {

using session_ptr = std::unique_ptr<SSL_SESSION, freed_by<SSL_SESSION_free>>;

struct client_wish {
  const authority* trusts = nullptr; ///< null: whatever is shown is taken
  std::string server_name = {};      ///< empty: none is told
  int version = 0;                   ///< the only one; 0: any
  std::string alpn = {};             ///< as on the wire
  const issued* shows = nullptr;     ///< a certificate of its own
  SSL_SESSION* resumes = nullptr;
};

class client : public conversation {
public:
  /// @param fd  connected; becomes the client's
  client(int fd, const client_wish& wanted) : conversation(fd, TLS_client_method()) {
    SSL_CTX_set_session_cache_mode(context(), SSL_SESS_CACHE_CLIENT);
    if (wanted.version != 0) {
      SSL_CTX_set_min_proto_version(context(), wanted.version);
      SSL_CTX_set_max_proto_version(context(), wanted.version);
    }
    if (wanted.trusts != nullptr) {
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context()), wanted.trusts->certificate());
      SSL_CTX_set_verify(context(), SSL_VERIFY_PEER, nullptr);
    }
    if (wanted.shows != nullptr)
      show(*wanted.shows);
    // Sessions come after the handshake (TLS 1.3), so they are caught when they do.
    SSL_CTX_set_app_data(context(), this);
    SSL_CTX_sess_set_new_cb(
      context(), +[](SSL* ssl, SSL_SESSION* made) -> int {
        static_cast<client*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->session.reset(made);
        return 1;
      });
    begin();
    SSL_set_connect_state(ssl());
    if (!wanted.server_name.empty())
      SSL_set_tlsext_host_name(ssl(), wanted.server_name.c_str());
    if (!wanted.alpn.empty())
      SSL_set_alpn_protos(ssl(), reinterpret_cast<const unsigned char*>(wanted.alpn.data()),
                          static_cast<unsigned>(wanted.alpn.size()));
    if (wanted.resumes != nullptr)
      SSL_set_session(ssl(), wanted.resumes);
  }

  [[nodiscard]] bool resumed() const { return SSL_session_reused(ssl()) == 1; }
  /// Of the server's certificate.
  [[nodiscard]] std::string common_name() const {
    std::string out(64, '\0');
    auto* shown = SSL_get0_peer_certificate(ssl());
    const auto size = shown == nullptr
                        ? 0
                        : X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName,
                                                    out.data(), static_cast<int>(out.size()));
    out.resize(static_cast<std::size_t>(std::max(size, 0)));
    return out;
  }

  session_ptr session; ///< the last that the server gave
};

} // namespace marchproxy::tls::testing

#pragma GCC diagnostic pop

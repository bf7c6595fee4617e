// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// A TLS client as OpenSSL has it, over a blocking socket: the other end of what is tested.

#include "nodes/tls/authority.test.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

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

/// Gives up after ten seconds without a byte.
class client {
public:
  /// @param fd  connected; becomes the client's
  client(int fd, const client_wish& wanted)
    : fd_(fd), context_(SSL_CTX_new(TLS_client_method())), ssl_(nullptr) {
    std::signal(SIGPIPE, SIG_IGN); // OpenSSL writes to sockets as to files
    timeval limit{10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    auto* context = context_.get();
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
    if (wanted.version != 0) {
      SSL_CTX_set_min_proto_version(context, wanted.version);
      SSL_CTX_set_max_proto_version(context, wanted.version);
    }
    if (wanted.trusts != nullptr) {
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context), wanted.trusts->certificate());
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    }
    if (wanted.shows != nullptr)
      show(*wanted.shows);
    // Sessions come after the handshake (TLS 1.3), so they are caught when they do.
    SSL_CTX_set_app_data(context, this);
    SSL_CTX_sess_set_new_cb(
      context, +[](SSL* ssl, SSL_SESSION* made) -> int {
        static_cast<client*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->session.reset(made);
        return 1;
      });
    ssl_.reset(SSL_new(context));
    SSL_set_fd(ssl_.get(), fd);
    if (!wanted.server_name.empty())
      SSL_set_tlsext_host_name(ssl_.get(), wanted.server_name.c_str());
    if (!wanted.alpn.empty())
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(wanted.alpn.data()),
                          static_cast<unsigned>(wanted.alpn.size()));
    if (wanted.resumes != nullptr)
      SSL_set_session(ssl_.get(), wanted.resumes);
  }
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  ~client() { close(); }

  /// @return empty, or why it failed
  [[nodiscard]] std::string handshake() {
    ERR_clear_error();
    if (SSL_connect(ssl_.get()) == 1)
      return {};
    return ERR_peek_error() != 0 ? take_problem() : "closed";
  }
  [[nodiscard]] bool send(std::string_view text) {
    while (!text.empty()) {
      std::size_t put = 0;
      if (SSL_write_ex(ssl_.get(), text.data(), text.size(), &put) != 1)
        return false;
      text.remove_prefix(put);
    }
    return true;
  }
  /// One read; empty at the end.
  [[nodiscard]] std::string some() {
    std::string out(64 * 1024, '\0');
    std::size_t got = 0;
    ERR_clear_error();
    const auto code = SSL_read_ex(ssl_.get(), out.data(), out.size(), &got);
    if (code != 1) {
      const auto how = SSL_get_error(ssl_.get(), code);
      end = how == SSL_ERROR_ZERO_RETURN ? "close_notify"
            : ERR_peek_error() != 0      ? take_problem()
                                         : "broken";
    }
    out.resize(got);
    return out;
  }
  [[nodiscard]] std::string exactly(std::size_t size) {
    while (held_.size() < size) {
      auto more = some();
      if (more.empty())
        break;
      held_ += more;
    }
    auto out = held_.substr(0, size);
    held_.erase(0, out.size());
    return out;
  }
  [[nodiscard]] std::string until(std::string_view mark) {
    std::size_t at = 0;
    while ((at = held_.find(mark)) == std::string::npos) {
      auto more = some();
      if (more.empty())
        return std::exchange(held_, {});
      held_ += more;
    }
    return exactly(at + mark.size());
  }
  [[nodiscard]] std::string all() {
    for (auto more = some(); !more.empty(); more = some())
      held_ += more;
    return std::exchange(held_, {});
  }
  /// close_notify, and nothing of the socket.
  void say_end() { SSL_shutdown(ssl_.get()); }
  void close() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }

  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] SSL* ssl() const noexcept { return ssl_.get(); }
  [[nodiscard]] bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  /// Of the server's certificate.
  [[nodiscard]] std::string common_name() const {
    std::string out(64, '\0');
    auto* shown = SSL_get0_peer_certificate(ssl_.get());
    const auto size = shown == nullptr
                        ? 0
                        : X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName,
                                                    out.data(), static_cast<int>(out.size()));
    out.resize(static_cast<std::size_t>(std::max(size, 0)));
    return out;
  }

  session_ptr session; ///< the last that the server gave
  std::string end;     ///< how reading ended: close_notify, or the failure

private:
  void show(const issued& pair) {
    const bio_ptr certificate{
      BIO_new_mem_buf(pair.certificate.data(), static_cast<int>(pair.certificate.size()))};
    const bio_ptr key{BIO_new_mem_buf(pair.key.data(), static_cast<int>(pair.key.size()))};
    const x509_ptr leaf{PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr)};
    const key_ptr secret{PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr)};
    SSL_CTX_use_cert_and_key(context_.get(), leaf.get(), secret.get(), nullptr, 1);
  }

  int fd_;
  ssl_ctx_ptr context_;
  ssl_ptr ssl_;
  std::string held_;
};

} // namespace marchproxy::tls::testing

#pragma GCC diagnostic pop

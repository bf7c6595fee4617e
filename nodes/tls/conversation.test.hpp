// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// One end of a TLS connection as OpenSSL has it, over a blocking socket: the other end of what is
// tested.

#include "nodes/tls/authority.test.hpp"
#include "tests/support/inbox.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

// OpenSSL's macros cast the C way.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace marchproxy::tls::testing {

/// Gives up after ten seconds without a byte.
class conversation {
public:
  conversation(const conversation&) = delete;
  conversation& operator=(const conversation&) = delete;
  ~conversation() { close(); }

  /// @return empty, or why it failed
  [[nodiscard]] std::string handshake() {
    ERR_clear_error();
    if (SSL_do_handshake(ssl_.get()) == 1)
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
    return held_.exactly(size, [this] { return some(); });
  }
  [[nodiscard]] std::string until(std::string_view mark) {
    return held_.until(mark, [this] { return some(); });
  }
  [[nodiscard]] std::string all() {
    return held_.all([this] { return some(); });
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

  std::string end; ///< how reading ended: close_notify, or the failure

protected:
  /// @param fd  connected; becomes the conversation's
  conversation(int fd, const SSL_METHOD* side) : fd_(fd), context_(SSL_CTX_new(side)) {
    std::signal(SIGPIPE, SIG_IGN); // OpenSSL writes to sockets as to files
    timeval limit{10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  void show(const issued& pair) {
    const bio_ptr certificate{BIO_new_mem_buf(pair.certificate.data(), -1)};
    const bio_ptr key{BIO_new_mem_buf(pair.key.data(), -1)};
    const x509_ptr leaf{PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr)};
    const key_ptr secret{PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr)};
    SSL_CTX_use_cert_and_key(context_.get(), leaf.get(), secret.get(), nullptr, 1);
  }
  /// When the context is as it should be.
  void begin() {
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), fd_);
  }
  [[nodiscard]] SSL_CTX* context() const noexcept { return context_.get(); }

private:
  int fd_;
  ssl_ctx_ptr context_;
  ssl_ptr ssl_;
  test::inbox held_;
};

/// A server that shows one certificate to everybody.
class server : public conversation {
public:
  server(int fd, const issued& shows) : conversation(fd, TLS_server_method()) {
    show(shows);
    begin();
    SSL_set_accept_state(ssl());
  }
  /// Empty: the client named none.
  [[nodiscard]] std::string server_name() const {
    const auto* name = SSL_get_servername(ssl(), TLSEXT_NAMETYPE_host_name);
    return name != nullptr ? name : "";
  }
};

} // namespace marchproxy::tls::testing

#pragma GCC diagnostic pop

// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/tls/channel.hpp"

#include "actors/base/error.hpp"

#include <openssl/err.h>

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

// OpenSSL's macros cast the C way.
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace marchproxy::tls {

channel::channel(ssl_ptr ssl, int fd, std::string early, last_check check)
  : ssl_(std::move(ssl)), fd_(fd), early_(std::move(early)), check_(std::move(check)) {
  auto* bio = BIO_new(method());
  MP_INVARIANT(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio); // which ssl owns from here on
  SSL_set_app_data(ssl_.get(), this);
}

const BIO_METHOD* channel::method() {
  // Of our own, for three things that OpenSSL's does not do: bytes that were read before, no
  // SIGPIPE, and whether a read emptied the socket.
  static const auto* made = [] {
    auto* out = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    BIO_meth_set_read_ex(out, read_socket);
    BIO_meth_set_write_ex(out, write_socket);
    BIO_meth_set_ctrl(out, control);
    return out;
  }();
  return made;
}

int channel::read_socket(BIO* bio, char* into, std::size_t size, std::size_t* got) {
  auto& self = *static_cast<channel*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (!self.early_.empty()) {
    *got = self.early_.copy(into, size);
    self.early_.erase(0, *got);
    self.drained_ = false;
    return 1;
  }
  auto n = recv(self.fd_, into, size, 0);
  while (n < 0 && errno == EINTR)
    n = recv(self.fd_, into, size, 0);
  self.drained_ = n < 0 || static_cast<std::size_t>(n) < size;
  if (n > 0) {
    *got = static_cast<std::size_t>(n);
    return 1;
  }
  if (n == 0)
    self.at_end_ = true;
  else if (errno == EAGAIN)
    BIO_set_retry_read(bio);
  return 0;
}

int channel::write_socket(BIO* bio, const char* bytes, std::size_t size, std::size_t* put) {
  auto& self = *static_cast<channel*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  // OpenSSL sends each ticket by itself. A client has no use for them before it connects again, and
  // a segment each costs more than the ticket. The kernel makes a record of each anyway.
  if (!self.sends_by_kernel_ && SSL_get_state(self.ssl_.get()) == TLS_ST_SW_SESSION_TICKET
      && SSL_version(self.ssl_.get()) == TLS1_3_VERSION) {
    self.held_.append(bytes, size);
    *put = size;
    return 1;
  }
  const auto n = self.send_out({bytes, size});
  if (n > 0) {
    *put = static_cast<std::size_t>(n);
    return 1;
  }
  if (n == 0 || errno == EAGAIN)
    BIO_set_retry_write(bio);
  return 0;
}

/// What OpenSSL has to say next. @return as send()
ssize_t channel::send_out(std::string_view bytes) noexcept {
  for (;;) {
    const auto n = record_type_ != 0 ? kernel_tls::send_record(fd_, record_type_, bytes)
                   : held_.empty()   ? send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL)
                                     : send_with_held(bytes);
    if (n < 0 && errno == EINTR)
      continue;
    if (n == static_cast<ssize_t>(bytes.size()))
      record_type_ = 0;
    return n;
  }
}

/// @return as send(), of @p bytes alone
ssize_t channel::send_with_held(std::string_view bytes) noexcept {
  std::array<iovec, 2> parts{
    {{held_.data(), held_.size()}, {const_cast<char*>(bytes.data()), bytes.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  const auto n = sendmsg(fd_, &message, MSG_NOSIGNAL);
  if (n < 0)
    return n;
  const auto of_held = std::min(static_cast<std::size_t>(n), held_.size());
  if (of_held == held_.size())
    held_ = std::string{}; // gives the memory back
  else
    held_.erase(0, of_held);
  return n - static_cast<ssize_t>(of_held);
}

// BIO_CTRL_EOF is not answered: OpenSSL would send an alert to a peer that has gone.
// Of kTLS only what is sent is the kernel's: requests are short, and OpenSSL 3.0 reads ahead.
long channel::control(BIO* bio, int what, long number, void* pointer) {
  auto& self = *static_cast<channel*>(BIO_get_data(bio));
  const bool of_sending = number != 0;
  switch (what) {
  case BIO_CTRL_FLUSH:
    return 1;
  case kernel_tls::take_keys:
    if (!of_sending || !self.held_.empty())
      return 0;
    self.sends_by_kernel_ = kernel_tls::begin_sending(self.fd_, pointer);
    return self.sends_by_kernel_ ? 1 : 0;
  case BIO_CTRL_GET_KTLS_SEND:
    return self.sends_by_kernel_ ? 1 : 0;
  case kernel_tls::next_record_type:
    self.record_type_ = static_cast<unsigned char>(number);
    return 0;
  case kernel_tls::no_record_type:
    self.record_type_ = 0;
    return 0;
  default:
    return 0;
  }
}

std::string channel::words_for_failure() const {
  if (const auto verdict = SSL_get_verify_result(ssl_.get());
      verdict != X509_V_OK && SSL_is_server(ssl_.get()) == 0
      && SSL_get_verify_mode(ssl_.get()) != SSL_VERIFY_NONE)
    return X509_verify_cert_error_string(verdict);
  if (ERR_peek_error() != 0)
    return take_problem();
  return at_end_ ? "unexpected eof while reading" : "the connection broke";
}

step channel::failing(int code) {
  switch (SSL_get_error(ssl_.get(), code)) {
  case SSL_ERROR_WANT_READ:
    return step::wants_read;
  case SSL_ERROR_WANT_WRITE:
    return step::wants_write;
  case SSL_ERROR_ZERO_RETURN:
    return step::ended;
  default:
    break;
  }
  problem_ = words_for_failure();
  ERR_clear_error();
  broken_ = true;
  return step::failed;
}

step channel::handshake() {
  if (broken_)
    return step::failed;
  ERR_clear_error();
  if (const auto code = SSL_do_handshake(ssl_.get()); code != 1) {
    const auto how = failing(code);
    if (how != step::ended)
      return how;
    problem_ = "the peer ended the handshake";
    broken_ = true;
    return step::failed;
  }
  if (check_)
    problem_ = std::exchange(check_, {})(*ssl_);
  if (!problem_.empty()) {
    broken_ = true;
    return step::failed;
  }
  if (clients.asked)
    peer_ = std::make_unique<peer_identity>(
      identify(SSL_get0_peer_certificate(ssl_.get()),
               clients.verdict != X509_V_OK ? clients.verdict : SSL_get_verify_result(ssl_.get())));
  return step::done;
}

moved channel::read(std::span<char> into) noexcept {
  if (broken_)
    return {step::failed, 0};
  ERR_clear_error();
  std::size_t got = 0;
  const auto code = SSL_read_ex(ssl_.get(), into.data(), into.size(), &got);
  return code == 1 ? moved{step::done, got} : moved{failing(code), 0};
}

/// Of an established connection that the kernel encrypts: OpenSSL has no part in it, so there is
/// no record to finish either.
moved channel::write_plainly(std::string_view bytes) noexcept {
  auto n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR)
    n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (n >= 0)
    return {step::done, static_cast<std::size_t>(n)};
  if (errno == EAGAIN)
    return {step::wants_write, 0};
  problem_ = "the connection broke";
  broken_ = true;
  return {step::failed, 0};
}

moved channel::write(std::string_view bytes) noexcept {
  if (broken_)
    return {step::failed, 0};
  if (sends_by_kernel_)
    return write_plainly(bytes);
  ERR_clear_error();
  std::size_t put = 0;
  const auto code = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &put);
  holds_record_ = false;
  if (code == 1)
    return {step::done, put};
  const auto how = failing(code);
  holds_record_ = how == step::wants_write;
  return {how, 0};
}

step channel::peek() noexcept {
  if (broken_)
    return step::failed;
  ERR_clear_error();
  char next = 0;
  std::size_t got = 0;
  const auto code = SSL_peek_ex(ssl_.get(), &next, 1, &got);
  return code == 1 ? step::done : failing(code);
}

step channel::end() noexcept {
  if (broken_ || SSL_in_init(ssl_.get()) != 0)
    return step::failed;
  if (end_said_)
    return step::done;
  ERR_clear_error();
  const auto code = SSL_shutdown(ssl_.get());
  end_said_ = code >= 0;
  return end_said_ ? step::done : failing(code);
}

bool channel::has_more() const noexcept {
  return !drained_ || SSL_has_pending(ssl_.get()) == 1;
}

bool channel::resumed() const noexcept {
  return SSL_session_reused(ssl_.get()) == 1;
}

std::string_view channel::server_name() const noexcept {
  const auto* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
  return name != nullptr ? std::string_view{name} : std::string_view{};
}

} // namespace marchproxy::tls

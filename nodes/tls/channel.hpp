// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#pragma once

#include "nodes/tls/kernel_tls.hpp"
#include "nodes/tls/openssl.hpp"
#include "nodes/tls/peer_identity.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace marchproxy::tls {

enum class step : std::uint8_t {
  done,
  wants_read,  ///< the socket has nothing now
  wants_write, ///< the socket takes nothing now
  ended,       ///< the peer says that it sends no more (close_notify)
  failed,      ///< broken, cut off, or not TLS; problem() says why
};

struct moved {
  step how = step::done;
  std::size_t bytes = 0;
};

/// One TLS connection over a connected, non-blocking socket, which belongs to somebody else. For
/// one thread. Holds no buffers while nothing is under way.
class channel {
public:
  /// What else a handshake has to find out before it is done: nothing, or what is wrong.
  using last_check = std::function<std::string(const SSL&)>;

  /// @param ssl    made by an acceptor or connector, which says which side this is
  /// @param early  what was read of the socket already
  channel(ssl_ptr ssl, int fd, std::string early, last_check check = {});
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;
  ~channel() = default;

  /// To be called until it is done.
  [[nodiscard]] step handshake();
  /// @param into  not empty
  [[nodiscard]] moved read(std::span<char> into) noexcept;
  /// Some of @p bytes. After wants_write, the next call must begin with the same bytes: they may be
  /// on their way (holds_record()).
  [[nodiscard]] moved write(std::string_view bytes) noexcept;
  /// Whether the peer has neither sent anything that was not read nor said that it ends. Reads what
  /// is not for us.
  [[nodiscard]] step peek() noexcept;
  /// Says that nothing more will be sent (close_notify). done, wants_write, or failed.
  [[nodiscard]] step end() noexcept;
  /// The socket is closed: nothing touches it any more.
  void detach() noexcept { fd_ = -1; }

  /// Another read may find something without an event of the socket.
  [[nodiscard]] bool has_more() const noexcept;
  /// A write was begun and not finished.
  [[nodiscard]] bool holds_record() const noexcept { return holds_record_; }
  /// What is written to the socket goes out encrypted, by the kernel, whoever writes it.
  [[nodiscard]] bool sends_by_kernel() const noexcept { return sends_by_kernel_; }

  [[nodiscard]] bool resumed() const noexcept;
  /// Of a client that we are the server of; empty: it named none.
  [[nodiscard]] std::string_view server_name() const noexcept;
  /// Of a client that was asked for its certificate; null: it was not.
  [[nodiscard]] const peer_identity* peer() const noexcept { return peer_.get(); }
  /// Why it failed, for people.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }
  /// Of an acceptor: the client is to show a certificate, and what was found of it.
  struct client_check {
    bool asked = false;
    long verdict = 0; ///< the first that is wrong; X509_V_OK: nothing
  };
  client_check clients;

private:
  [[nodiscard]] step failing(int code);
  [[nodiscard]] moved write_plainly(std::string_view bytes) noexcept;
  [[nodiscard]] ssize_t send_out(std::string_view bytes) noexcept;
  [[nodiscard]] std::string words_for_failure() const;
  static int read_socket(BIO* bio, char* into, std::size_t size, std::size_t* got);
  static int write_socket(BIO* bio, const char* bytes, std::size_t size, std::size_t* put);
  [[nodiscard]] ssize_t send_with_held(std::string_view bytes) noexcept;
  static long control(BIO* bio, int what, long number, void* pointer);
  static const BIO_METHOD* method();

  ssl_ptr ssl_;
  int fd_;
  bool drained_ = false; ///< the last read emptied the socket
  bool at_end_ = false;  ///< the peer's FIN was read
  bool broken_ = false;  ///< nothing may be asked of OpenSSL any more
  bool holds_record_ = false;
  bool end_said_ = false;
  bool sends_by_kernel_ = false;
  unsigned char record_type_ = 0; ///< of what OpenSSL sends next by the kernel; 0: no matter
  std::string early_;
  std::string held_; ///< session tickets, which go with the next bytes
  last_check check_;
  std::unique_ptr<peer_identity> peer_;
  std::string problem_;
};

} // namespace marchproxy::tls

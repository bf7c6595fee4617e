// SPDX-License-Identifier: AGPL-3.0-only
// One accepted connection: the I/O round nodes/http/connection.hpp. Belongs to the server's loop
// thread.
#pragma once

#include "nodes/http/connection.hpp"
#include "nodes/http/server.hpp"
#include "nodes/net/event_loop.hpp"

#include <cstdint>
#include <functional>
#include <string>

namespace marchproxy::http {

class client_session final : private net::io_handler {
public:
  /// What the session needs of its server. Both may be called from within any member.
  struct owner {
    /// Hands a request to a handler; false when there is no room.
    std::function<bool(std::uint64_t session, request)> submit;
    /// The session is over: destroy it in a later turn, it is still on the stack.
    std::function<void(std::uint64_t session)> finished;
  };

  client_session(std::uint64_t id,
                 net::accepted&& from,
                 net::event_loop& loop,
                 const server_options& options,
                 const owner& of);
  client_session(const client_session&) = delete;
  client_session& operator=(const client_session&) = delete;
  ~client_session();

  /// Begins to serve, or with @p full to say that there is no room.
  void start(bool full);
  /// The handler's answer to the request submitted last.
  void answer(const response& value);

private:
  enum class phase : std::uint8_t { idle, reading, handling, writing, lingering, over };

  void on_io(std::uint32_t events) override;
  void read();
  void advance();
  bool flush();
  void settle();
  void enter(phase next);
  void linger();
  void expired();
  void end();

  std::uint64_t id_;
  net::unique_fd fd_;
  net::event_loop& loop_;
  const server_options& options_;
  const owner& owner_;
  connection http_;
  net::timer timer_;
  phase phase_ = phase::over;
  std::uint32_t watched_ = 0;
  bool input_ended_ = false;
};

/// Now, as the Date field has it (RFC 9110 5.6.7).
[[nodiscard]] std::string http_date();

} // namespace marchproxy::http

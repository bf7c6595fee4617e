// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/http/message.hpp"
#include "nodes/net/socket.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

namespace marchproxy::http {

struct server_options {
  net::endpoint listen;               ///< port 0: the kernel picks one
  std::size_t max_connections = 1024; ///< beyond it a connection is answered 503
  std::size_t handler_threads = 8;
  std::size_t max_waiting = 256;    ///< requests that wait for a thread; beyond it 503
  std::size_t max_body = 8U << 20U; ///< beyond it 413
  std::chrono::milliseconds idle_timeout{75'000}; ///< between requests; then closed
  std::chrono::milliseconds request_timeout{
    30'000}; ///< from a request's first byte to its last; then 408
  std::chrono::milliseconds write_timeout{30'000}; ///< without progress in sending; then closed
};

/// An HTTP/1.1 server for small answers: keep-alive, pipelining in order, bounds on everything. One
/// thread does the I/O; handlers run in a pool of threads and may block.
class server {
public:
  /// Called by several threads at once. An exception becomes a 500.
  using handler = std::function<response(const request&)>;

  /// Listens and serves until destroyed.
  /// @param listener  by net::listen_tcp; none: one at options.listen is made
  /// @errors those of net::listen_tcp
  [[nodiscard]] static result<std::unique_ptr<server>>
  start(server_options options, handler handle, net::unique_fd listener = {});
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  /// Waits for handlers that have begun; connections are closed.
  ~server();

  /// Where it listens.
  [[nodiscard]] net::endpoint local() const noexcept;
  /// Connections open at the moment. Any thread.
  [[nodiscard]] std::size_t connections() const noexcept;

private:
  class engine;
  explicit server(std::unique_ptr<engine> made);
  std::unique_ptr<engine> engine_;
};

} // namespace marchproxy::http

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/socket.hpp"

#include <mutex>
#include <vector>

namespace marchproxy::relay {

/// Where a relay's listening sockets come from: those that the process before has handed over, as
/// long as they last, then the kernel. Any thread.
class socket_source {
public:
  /// @param inherited  listening sockets and UDP ones; each knows itself where it listens
  explicit socket_source(std::vector<net::unique_fd> inherited)
    : inherited_(std::move(inherited)) {}

  /// A listening TCP socket. @errors as net::listen_tcp
  [[nodiscard]] result<net::unique_fd> listen(const net::endpoint& at, bool transparent = false);
  /// A UDP socket. @errors as net::bind_udp
  [[nodiscard]] result<net::unique_fd> bind(const net::endpoint& at, bool transparent = false);
  /// True when none is left of those handed over.
  [[nodiscard]] bool empty();
  /// Closes what nobody asked for.
  void close_rest();

private:
  /// Gives up the first that is just this; none when there is none.
  [[nodiscard]] net::unique_fd
  take_inherited(const net::endpoint& at, bool datagrams, bool transparent);

  std::mutex lock_;
  std::vector<net::unique_fd> inherited_;
};

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/socket.hpp"

#include <memory>

namespace marchproxy::net {

/// Opens sockets that this process has no right to open: ports below 1024, transparent ones. Any
/// thread. See docs/adr/0015-netd.md.
class socket_broker {
public:
  socket_broker() = default;
  socket_broker(const socket_broker&) = delete;
  socket_broker& operator=(const socket_broker&) = delete;
  virtual ~socket_broker() = default;

  /// @errors as net::listen_tcp; unavailable when it cannot be asked
  [[nodiscard]] virtual result<unique_fd> listen_tcp(const endpoint& at,
                                                     const listen_options& options) = 0;
  /// @errors likewise
  [[nodiscard]] virtual result<unique_fd> bind_udp(const endpoint& at,
                                                   const udp_options& options) = 0;
  /// As widen_receive_buffer(), past rmem_max.
  [[nodiscard]] virtual result<void> widen_receive_buffer(int fd, std::size_t bytes) = 0;
};

/// From now on listen_tcp() and bind_udp() of this process, whose rights are one thing too, ask
/// @p broker where the kernel forbids what they want. Before other threads start.
void use_socket_broker(std::shared_ptr<socket_broker> broker) noexcept;
/// Null: there is none.
[[nodiscard]] socket_broker* broker_of_sockets() noexcept;

} // namespace marchproxy::net

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/socket.hpp"

#include <map>
#include <memory>

namespace marchproxy::relay {

/// Sockets with addresses that are not ours: those that transparent clients sent to, so that
/// answers come from there. One for each address and port, as long as anybody has it. Must outlive
/// what it gives out.
class answer_sockets {
public:
  using socket = std::shared_ptr<const net::unique_fd>;

  answer_sockets() = default;
  answer_sockets(const answer_sockets&) = delete;
  answer_sockets& operator=(const answer_sockets&) = delete;
  ~answer_sockets() = default;

  /// @errors as net::bind_udp: forbidden without CAP_NET_ADMIN; conflict when a program of this
  /// host has that address and port
  [[nodiscard]] result<socket> at(const net::endpoint& from);
  [[nodiscard]] std::size_t size() const noexcept { return open_.size(); }

private:
  std::map<net::endpoint, std::weak_ptr<const net::unique_fd>> open_;
};

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#pragma once

#include "nodes/net/socket.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace marchproxy::net {

struct datagram {
  endpoint from;
  std::string_view bytes;
};

/// Datagrams that one system call takes or gives.
constexpr std::size_t datagram_batch = 32;

/// Receives up to datagram_batch datagrams with one system call. Its buffers (2 MiB, of which only
/// what arrives is ever touched) serve all sockets of a thread in turn.
class datagram_reader {
public:
  datagram_reader();
  /// What waits at @p fd, oldest first; empty when nothing does. Valid until the next call.
  [[nodiscard]] std::span<const datagram> read(int fd) noexcept;

private:
  static constexpr std::size_t room = 65536; ///< no UDP datagram is longer
  std::unique_ptr<char[]> bytes_;
  std::array<socket_address, datagram_batch> from_{};
  std::array<iovec, datagram_batch> parts_{};
  std::array<mmsghdr, datagram_batch> messages_{};
  std::array<datagram, datagram_batch> received_{};
};

/// Collects datagrams and sends them with one system call.
class datagram_writer {
public:
  /// Bytes that a head may have.
  static constexpr std::size_t max_head = 64;

  /// @param head  copied, at most max_head bytes; goes in front of @p bytes
  /// @param bytes must stay where they are until send()
  void add(const endpoint& to, std::string_view head, std::string_view bytes) noexcept;
  [[nodiscard]] bool full() const noexcept { return count_ == datagram_batch; }
  /// @return how many the kernel took. The rest is gone, as datagrams may be: it had no room, or no
  /// way there.
  std::size_t send(int fd) noexcept;

private:
  std::size_t count_ = 0;
  std::array<socket_address, datagram_batch> to_{};
  std::array<std::array<char, max_head>, datagram_batch> heads_{};
  std::array<std::array<iovec, 2>, datagram_batch> parts_{};
  std::array<mmsghdr, datagram_batch> messages_{};
};

} // namespace marchproxy::net

// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#pragma once

#include "nodes/net/socket.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace marchproxy::net {

/// What was received: one datagram, or several of one sender that the kernel has joined
/// (join_segments()).
struct datagram {
  endpoint from;
  endpoint to; ///< where it was sent, as far as the socket tells: tell_destination()
  std::string_view bytes;
  std::uint16_t segment = 0; ///< 0: one; else each has this size, and the last may be shorter

  [[nodiscard]] std::size_t count() const noexcept {
    return segment == 0 ? 1 : (bytes.size() + segment - 1) / segment;
  }
  /// Calls @p visit with the bytes of each.
  template <class Visit>
  void for_each(Visit visit) const {
    if (segment == 0)
      return visit(bytes);
    for (std::size_t at = 0; at < bytes.size(); at += segment)
      visit(bytes.substr(at, segment));
  }
};

/// Datagrams that one system call takes or gives.
constexpr std::size_t datagram_batch = 32;

/// Receives up to datagram_batch datagrams with one system call. Its buffers (2 MiB, of which only
/// what arrives is ever touched) serve all sockets of a thread in turn.
class datagram_reader {
public:
  datagram_reader();
  /// What waits at @p fd, oldest first; empty when nothing does. Valid until the next call.
  /// @param most  that are taken; to ask for more than there are costs a little
  [[nodiscard]] std::span<const datagram> read(int fd, std::size_t most = datagram_batch) noexcept;
  /// What the last read() heard of something sent earlier (ICMP), as an errno value; 0: nothing.
  [[nodiscard]] int error() const noexcept { return error_; }

private:
  static constexpr std::size_t room = 65536; ///< no UDP datagram is longer
  /// From one buffer to the next: an odd number of cache lines more, since buffers 64 KiB apart
  /// would all share the same few places in the caches.
  static constexpr std::size_t stride = room + 9 * std::size_t{64};
  static constexpr std::size_t max_control = 128;

  void reset(std::size_t i) noexcept;
  std::unique_ptr<char[]> bytes_;
  std::array<socket_address, datagram_batch> from_{};
  std::array<iovec, datagram_batch> parts_{};
  alignas(8) std::array<std::array<char, max_control>, datagram_batch> control_{};
  std::array<mmsghdr, datagram_batch> messages_{};
  std::array<datagram, datagram_batch> received_{};
  std::size_t used_ = 0; ///< messages that the last read() left filled
  int error_ = 0;
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

// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#pragma once

#include "nodes/net/socket.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace marchproxy::net {

/// Sends datagrams of one sender to one place with as few system calls and trips through the
/// kernel's network stack as it takes: neighbours of one size become one message that the kernel
/// cuts up as late as it can (UDP_SEGMENT). What the receiver gets is the same, in the same order.
class run_writer {
public:
  static constexpr std::uint16_t any_segment = std::numeric_limits<std::uint16_t>::max();

  struct way {
    int fd = -1;
    const socket_address* to = nullptr; ///< null: the socket is connected
    const ip_address* from = nullptr;   ///< one of the host's addresses; null: as the socket has it
    std::uint16_t most_segment = any_segment; ///< longer datagrams go one by one; 0: all do
  };
  /// What became of them. The rest is gone, as datagrams may be.
  struct tally {
    std::size_t datagrams = 0; ///< that the kernel took
    std::size_t bytes = 0;     ///< in these
    int error = 0;             ///< what the kernel told of earlier ones (ICMP); 0: nothing
    std::uint16_t most_segment = any_segment; ///< for the way's next time: what was found out
  };

  /// Begins anew. What @p w points to has to stay until finish().
  void begin(const way& w) noexcept;
  /// @param bytes    must stay where they are until finish()
  /// @param segment  as datagram::segment
  void add(std::string_view bytes, std::uint16_t segment) noexcept;
  [[nodiscard]] tally finish() noexcept;

private:
  static constexpr std::size_t max_runs = 64;
  static constexpr std::size_t max_parts = 256;
  static constexpr std::size_t max_control = 64;
  static constexpr std::size_t max_count = 64;     ///< datagrams in a run; UDP_MAX_SEGMENTS
  static constexpr std::size_t max_bytes = 65'000; ///< in a run; below an IP packet's limit

  struct run {
    std::size_t first_part = 0;
    std::size_t parts = 0;
    std::size_t bytes = 0;
    std::size_t count = 0;   ///< datagrams
    std::size_t segment = 0; ///< bytes of each
    bool open = false;       ///< the last one was of full size: another may follow
  };

  [[nodiscard]] bool joins(std::size_t bytes, std::size_t count, std::size_t segment) noexcept;
  void append(std::string_view bytes, std::size_t count, std::size_t segment) noexcept;
  [[nodiscard]] bool push_one() noexcept;
  void push() noexcept;
  /// @param control  of max_control bytes
  [[nodiscard]] msghdr message(iovec* parts, std::size_t count, char* control) const noexcept;
  void prepare(std::size_t i) noexcept;
  [[nodiscard]] bool survive(std::size_t i, bool again) noexcept;
  void send_singly(const run& r) noexcept;
  void count(std::size_t datagrams, std::size_t bytes) noexcept;

  way way_;
  tally tally_;
  std::size_t runs_ = 0;
  std::size_t parts_ = 0;
  std::array<run, max_runs> run_{};
  std::array<iovec, max_parts> part_{};
  std::array<mmsghdr, max_runs> messages_{};
  alignas(cmsghdr) std::array<std::array<char, max_control>, max_runs> control_{};
};

} // namespace marchproxy::net

// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#pragma once

#include "actors/base/error.hpp"
#include "nodes/net/socket.hpp"
#include "nodes/net/timer_wheel.hpp"

#include <liburing.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace marchproxy::net {

/// Who is told what became of operations. Stays where it is until the last completion of each.
class ring_client {
public:
  /// @param which  the number that the operation was started with, 0 to 7
  /// @param result what the system call would have returned, or -errno
  /// @param flags  IORING_CQE_F_* bits. Each operation completes once
  virtual void on_completed(unsigned which, int result, std::uint32_t flags) = 0;

protected:
  ring_client() = default;
  ring_client(const ring_client&) = default;
  ring_client& operator=(const ring_client&) = default;
  ~ring_client() = default;
};

class ring_socket;

/// An io_uring: operations are handed to the kernel, and their results taken back, with one system
/// call a turn. Sockets receive into buffers that all of them share and that are in use within a
/// turn only. Belongs to the thread that made it. When it is gone, the kernel interrupts that
/// thread once, whatever it waits for.
class ring {
public:
  /// @errors unsupported, with what the kernel said: before Linux 6.1, or not allowed here
  [[nodiscard]] static result<std::unique_ptr<ring>> create();
  /// Whether create() succeeds here, tried by a thread of its own. @errors as create
  [[nodiscard]] static result<void> probe();
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  /// All sockets of it are gone.
  ~ring();

  /// Hands over what was started and waits for results: until there are some, at most @p limit
  /// (negative: for ever). Tells the operations' clients.
  void turn(std::chrono::milliseconds limit);
  /// Tells the handlers of sockets on which something happened.
  void dispatch();
  /// Ends the turn: bytes that nobody has read yet are moved out of the shared buffers.
  void settle();

  /// Starts an operation, which @p prepare fills in; it is handed over at the turn's end.
  template <class Prepare>
  void start(ring_client& who, unsigned which, Prepare prepare) noexcept {
    auto& entry = next();
    prepare(&entry);
    io_uring_sqe_set_data64(&entry, tag(who, which));
  }
  /// Ends an operation that was handed over. Its completion comes all the same.
  void cancel(ring_client& who, unsigned which) noexcept;
  /// Ends an operation that was not handed over yet: the kernel never sees it. @return false when
  /// there is none
  [[nodiscard]] bool take_back(ring_client& who, unsigned which) noexcept;
  /// Another number with each handing over.
  [[nodiscard]] std::uint16_t batch() const noexcept { return batch_; }

private:
  friend class ring_socket;
  static constexpr unsigned entries = 1024;
  static constexpr unsigned buffer_count = 128;
  static constexpr std::size_t buffer_size = 4096;
  static constexpr int buffer_group = 0;
  static constexpr std::size_t max_spare = 256;
  /// After so many turns, or so long without any news, half-open connections are watched for a
  /// reset. Most are closed before.
  static constexpr unsigned half_open_turns = 256;
  static constexpr std::chrono::milliseconds half_open_pause{100};

  ring() = default;
  [[nodiscard]] static std::uint64_t tag(ring_client& who, unsigned which) noexcept {
    return reinterpret_cast<std::uint64_t>(&who) | which;
  }
  [[nodiscard]] result<void> open();
  [[nodiscard]] io_uring_sqe& next() noexcept;
  /// @return whether there is news
  bool wait(std::chrono::milliseconds limit);
  void watch_half_open() noexcept;
  [[nodiscard]] const char* buffer(std::uint16_t id) const noexcept {
    return &bytes_[std::size_t{id} * buffer_size];
  }
  void give_back(std::uint16_t id) noexcept;
  /// Those for whom no buffer was left ask again once buffers are back.
  void receive_later(ring_socket& s) { hungry_.push_back(&s); }

  io_uring ring_{};
  bool open_ = false;
  std::uint16_t batch_ = 0;
  io_uring_buf_ring* buffers_ = nullptr; ///< mapped
  std::unique_ptr<char[]> bytes_;
  list_node ready_;              ///< ring_sockets with news
  list_node unread_;             ///< ring_sockets that were told and have bytes in shared buffers
  list_node half_open_;          ///< ring_sockets whose peers send no more
  unsigned half_open_since_ = 0; ///< turns
  list_node orphans_;            ///< ring_sockets without owner whose operations are under way
  std::vector<ring_socket*> hungry_;
  std::vector<std::unique_ptr<ring_socket>> spare_;
};

} // namespace marchproxy::net

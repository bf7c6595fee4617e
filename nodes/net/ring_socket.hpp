// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#pragma once

#include "nodes/net/event_loop.hpp"
#include "nodes/net/ring.hpp"

#include <cstdint>
#include <memory>
#include <span>

namespace marchproxy::net {

/// A connected (or connecting) socket that a ring waits for, and whose bytes come with the news
/// that there are some. Further reading, and writing, is the owner's, by the descriptor. A handler
/// hears EPOLL* bits, as if epoll watched the descriptor.
class ring_socket final : public ring_client, public list_node {
public:
  struct release {
    void operator()(ring_socket* s) const noexcept { s->let_go(); }
  };
  using handle = std::unique_ptr<ring_socket, release>;

  /// @param fd    not owned; the handle goes before it is closed
  /// @param tell  outlives the handle
  [[nodiscard]] static handle open(ring& by, int fd, io_handler& tell);
  ring_socket(const ring_socket&) = delete;
  ring_socket& operator=(const ring_socket&) = delete;
  ~ring_socket() = default;

  /// The next bytes are wanted: EPOLLIN tells of them, EPOLLRDHUP of the peer's end, EPOLLERR and
  /// EPOLLHUP of a broken connection. Nothing while it has bytes that nobody read, or was told of
  /// an end.
  /// @param drained  the socket has nothing now, as the owner knows
  void receive(bool drained) noexcept;
  [[nodiscard]] bool receiving() const noexcept { return is_under_way(op_receive); }
  /// One EPOLLOUT when the socket takes bytes.
  void want_writable() noexcept;

  /// Of the bytes that came, as many as fit.
  [[nodiscard]] std::size_t read(std::span<char> into) noexcept;
  [[nodiscard]] bool has_bytes() const noexcept { return begin_ < end_; }
  /// The socket had more than what came.
  [[nodiscard]] bool had_more() const noexcept { return had_more_; }
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] bool broken() const noexcept { return broken_; }

private:
  friend class ring;
  enum operation : unsigned { op_receive, op_writable, op_hangup };
  explicit ring_socket(ring& by) noexcept : ring_(&by) {}
  void on_completed(unsigned which, int result, std::uint32_t flags) override;
  void on_received(int result, std::uint32_t flags);
  [[nodiscard]] bool is_under_way(operation which) const noexcept {
    return (under_way_ >> which & 1) != 0;
  }
  template <class Prepare>
  void start(operation which, Prepare prepare) noexcept;
  void poll(operation which, unsigned events) noexcept;
  void watch_for_reset() noexcept { poll(op_hangup, 0); }
  [[nodiscard]] bool is_watched_for_reset() const noexcept { return is_under_way(op_hangup); }
  void tell(std::uint32_t events) noexcept;
  /// The handler hears what happened.
  void speak();
  /// Moves the bytes to memory of its own and gives the buffer back.
  void keep();
  void call_off(operation which) noexcept;
  void drop_bytes() noexcept;
  void let_go() noexcept;

  ring* ring_;
  io_handler* handler_ = nullptr;
  std::unique_ptr<char[]> kept_; ///< the bytes; null: they are in the shared buffer
  std::uint32_t news_ = 0;       ///< EPOLL* bits that the handler has not heard yet
  int fd_ = -1;
  std::uint16_t buffer_ = 0; ///< shared
  std::uint16_t begin_ = 0;
  std::uint16_t end_ = 0;
  std::uint16_t batch_ = 0;    ///< the ring's when an operation was started last
  std::uint8_t under_way_ = 0; ///< a bit for each operation
  bool had_more_ : 1 = false;
  bool ended_ : 1 = false;
  bool broken_ : 1 = false;
  bool hungry_ : 1 = false;
};
static_assert(sizeof(ring_socket) <= 72, "thousands of idle connections have one each");

} // namespace marchproxy::net

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/event_loop.hpp"
#include "nodes/relay/buffers.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace marchproxy::relay {

enum class io_state : std::uint8_t {
  moved,   ///< at least one byte
  blocked, ///< nothing now; the owner is told when that changes
  ended,   ///< the peer sends no more
  failed,  ///< the connection is broken
};

struct io_result {
  io_state state = io_state::blocked;
  std::size_t bytes = 0;
};

/// A connected (or connecting) socket, watched by edges: it remembers whether a read or write can
/// be tried, so nothing is re-armed. Its owner may change while it stays where it is.
class stream final : public net::io_handler {
public:
  class owner {
  public:
    /// Something changed. The owner may destroy the stream in a later turn, not from here.
    virtual void on_ready() = 0;

  protected:
    ~owner() = default;
  };

  stream(net::event_loop& loop, net::unique_fd fd) noexcept : loop_(loop), fd_(std::move(fd)) {}
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  ~stream() { close(); }

  /// Begins to watch, if that was not done, for @p who. @errors as event_loop::add
  [[nodiscard]] result<void> watch(owner& who);
  void set_owner(owner& who) noexcept { owner_ = &who; }
  void close() noexcept;

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] bool readable() const noexcept { return readable_; }
  [[nodiscard]] bool writable() const noexcept { return writable_; }
  /// Both directions are gone: reset, or a refused connection.
  [[nodiscard]] bool broken() const noexcept { return broken_; }

  /// True when the peer has neither sent anything that was not read nor closed: fit to be used
  /// again later.
  [[nodiscard]] bool quiet() noexcept;
  /// As quiet(), by the socket itself: what came since the last events counts too.
  [[nodiscard]] bool silent() noexcept;

  [[nodiscard]] io_result read(std::span<char> into) noexcept;
  /// Reads into the buffer's room, at most @p limit bytes.
  [[nodiscard]] io_result read(buffer& into, std::uint64_t limit = UINT64_MAX);
  [[nodiscard]] io_result write(std::string_view bytes) noexcept;
  /// Between the socket and a pipe, without copying.
  [[nodiscard]] io_result splice_to(splice_pipe& pipe, std::size_t limit) noexcept;
  [[nodiscard]] io_result splice_from(splice_pipe& pipe, std::size_t limit = SIZE_MAX) noexcept;
  /// Says that nothing more will be sent (FIN).
  void shut_down_write() noexcept;

  void on_io(std::uint32_t events) override;

private:
  net::event_loop& loop_;
  net::unique_fd fd_;
  owner* owner_ = nullptr;
  bool watched_ = false;
  bool readable_ = false;
  bool writable_ = false;
  bool half_closed_ = false; ///< the peer's FIN has been seen
  bool broken_ = false;
};

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/event_loop.hpp"
#include "nodes/net/ring_socket.hpp"
#include "nodes/relay/buffers.hpp"
#include "nodes/tls/channel.hpp"

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

/// A connected (or connecting) socket. It remembers whether a read or write can be tried: epoll
/// watches it by edges, so nothing is re-armed, or the loop's ring waits for it. Its owner may
/// change while it stays where it is. With TLS on it, what is read and written are the bytes
/// within.
class stream final : public net::io_handler {
public:
  class owner {
  public:
    /// Something changed. The owner may destroy the stream in a later turn, not from here.
    virtual void on_ready() = 0;

  protected:
    ~owner() = default;
  };

  enum class phase : std::uint8_t { connected, connecting };
  /// Who tells of events. A TLS connection is epoll's: its channel reads the socket itself.
  enum class watcher : std::uint8_t { any, epoll };

  stream(net::event_loop& loop, net::unique_fd fd, phase p = phase::connected) noexcept
    : loop_(loop), fd_(std::move(fd)), connecting_(p == phase::connecting) {}
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  ~stream() { close(); }

  /// Begins to watch, if that was not done, for @p who. @errors as event_loop::add
  [[nodiscard]] result<void> watch(owner& who, watcher by = watcher::any);
  void set_owner(owner& who) noexcept { owner_ = &who; }
  void close() noexcept;

  /// From now on this is a TLS connection; handshake() comes before anything else.
  /// Only before bytes were asked of a ring: in watcher::epoll's hands, or while it connects.
  void secure(std::unique_ptr<tls::channel> with) noexcept;
  /// Null: it is none.
  [[nodiscard]] const tls::channel* security() const noexcept { return tls_.get(); }
  /// To be called when something changed until it is moved (done) or failed.
  [[nodiscard]] io_state handshake();
  /// What follows is raw again: the words for a handshake that failed are said.
  void give_up_tls() noexcept { tls_.reset(); }

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
  /// Bytes can go to a pipe without being looked at, now. From then on epoll watches.
  [[nodiscard]] bool can_splice_out() noexcept;
  /// Bytes can come from a pipe without being looked at.
  [[nodiscard]] bool can_splice_in() const noexcept {
    return tls_ == nullptr || tls_->sends_by_kernel();
  }
  /// A write that was blocked has left a part of its bytes on their way: nothing else can be said
  /// before those.
  [[nodiscard]] bool is_committed() const noexcept { return tls_ && tls_->holds_record(); }
  /// Between the socket and a pipe, without copying.
  [[nodiscard]] io_result splice_to(splice_pipe& pipe, std::size_t limit) noexcept;
  [[nodiscard]] io_result splice_from(splice_pipe& pipe, std::size_t limit = SIZE_MAX) noexcept;
  /// Says that nothing more will be sent (close_notify, FIN).
  void shut_down_write() noexcept;
  /// Before close(), when nothing is cut off by it: says so to a TLS peer, who could not tell
  /// otherwise.
  void take_leave() noexcept;

  void on_io(std::uint32_t events) override;

private:
  [[nodiscard]] bool watch_by_epoll() noexcept;
  /// What is to be done for the next event, when the last try found nothing.
  void await_bytes() noexcept;
  void await_room() noexcept;
  [[nodiscard]] io_result read_received(std::span<char> into) noexcept;
  [[nodiscard]] io_result read_within(std::span<char> into) noexcept;
  [[nodiscard]] io_result write_within(std::string_view bytes) noexcept;
  /// What @p s means for the next try.
  [[nodiscard]] io_state note(tls::step s) noexcept;

  net::event_loop& loop_;
  owner* owner_ = nullptr;
  std::unique_ptr<tls::channel> tls_; ///< null: plain
  net::ring_socket::handle by_ring_;  ///< null: epoll watches
  net::unique_fd fd_;
  bool watched_ : 1 = false;
  bool readable_ : 1 = false;
  bool writable_ : 1 = false;
  bool half_closed_ : 1 = false; ///< the peer's FIN has been seen
  bool broken_ : 1 = false;
  bool ending_ : 1 = false; ///< close_notify waits for room
  bool connecting_ : 1 = false;
};
static_assert(sizeof(stream) <= 48, "thousands of idle connections have one each");

} // namespace marchproxy::relay

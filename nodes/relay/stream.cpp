// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/stream.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace marchproxy::relay {

namespace {

constexpr std::uint32_t by_edges = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

} // namespace

result<void> stream::watch(owner& who, watcher by) {
  owner_ = &who;
  if (watched_ || by_ring_)
    return {};
  if (loop_.ring() == nullptr || tls_ || by == watcher::epoll) {
    auto added = loop_.add(fd_.get(), by_edges, *this);
    watched_ = added.has_value();
    return added;
  }
  by_ring_ = net::ring_socket::open(*loop_.ring(), fd_.get(), *this);
  if (connecting_) {
    by_ring_->want_writable();
  } else {
    writable_ = true;
    by_ring_->receive(false);
  }
  return {};
}

/// From now on, in place of the ring.
bool stream::watch_by_epoll() noexcept {
  by_ring_.reset();
  watched_ = loop_.add(fd_.get(), by_edges, *this).has_value();
  broken_ = broken_ || !watched_;
  return watched_;
}

void stream::secure(std::unique_ptr<tls::channel> with) noexcept {
  tls_ = std::move(with);
  if (by_ring_)
    static_cast<void>(watch_by_epoll());
}

void stream::close() noexcept {
  by_ring_.reset();
  if (watched_)
    loop_.forget(*this);
  watched_ = false;
  if (tls_)
    tls_->detach(); // it may be on the call stack
  fd_.reset();
}

void stream::on_io(std::uint32_t events) {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0)
    broken_ = true;
  if ((events & EPOLLRDHUP) != 0)
    half_closed_ = true;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
    readable_ = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
    writable_ = true;
  if (ending_ && writable_)
    shut_down_write();
  const bool connected = connecting_;
  connecting_ = false;
  owner_->on_ready();
  // Whoever wants TLS on it has said so by now.
  if (connected && by_ring_ && !readable_)
    by_ring_->receive(true);
}

void stream::await_bytes() noexcept {
  readable_ = false;
  if (by_ring_)
    by_ring_->receive(true);
}

void stream::await_room() noexcept {
  writable_ = false;
  if (by_ring_)
    by_ring_->want_writable();
}

io_state stream::note(tls::step s) noexcept {
  switch (s) {
  case tls::step::done:
    return io_state::moved;
  case tls::step::wants_read:
    readable_ = half_closed_ || broken_;
    return io_state::blocked;
  case tls::step::wants_write:
    writable_ = false;
    return io_state::blocked;
  case tls::step::ended:
    return io_state::ended;
  case tls::step::failed:
    break;
  }
  return io_state::failed;
}

io_state stream::handshake() {
  const auto how = note(tls_->handshake());
  // The last of it may have brought bytes within, of which no event will tell.
  if (how == io_state::moved)
    readable_ = true;
  return how;
}

bool stream::quiet() noexcept {
  // A read that was exactly as long as asked for leaves readable_ set, so the socket itself is
  // asked.
  return readable_ ? silent() : !broken_ && !half_closed_;
}

bool stream::silent() noexcept {
  if (broken_ || half_closed_)
    return false;
  char next = 0;
  if (tls_)
    return note(tls_->peek()) == io_state::blocked && !broken_;
  if (by_ring_ && by_ring_->has_bytes())
    return false;
  readable_ = recv(fd_.get(), &next, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
  if (!readable_)
    await_bytes();
  return !readable_;
}

/// What the ring brought comes first. Then the socket itself is read, as it may have more.
io_result stream::read_received(std::span<char> into) noexcept {
  if (by_ring_->has_bytes()) {
    auto got = by_ring_->read(into);
    if (!by_ring_->has_bytes() && !by_ring_->had_more())
      await_bytes();
    return {io_state::moved, got};
  }
  return {by_ring_->ended() ? io_state::ended : io_state::failed, 0};
}

io_result stream::read(std::span<char> into) noexcept {
  if (!readable_)
    return {};
  if (tls_)
    return read_within(into);
  if (by_ring_ && (by_ring_->has_bytes() || by_ring_->ended() || by_ring_->broken()))
    return read_received(into);
  auto n = recv(fd_.get(), into.data(), into.size(), 0);
  if (n > 0) {
    auto got = static_cast<std::size_t>(n);
    // A short read has emptied the socket; whatever comes later is a new edge. Only a FIN seen
    // before is not.
    if (got < into.size() && !half_closed_ && !broken_)
      await_bytes();
    return {io_state::moved, got};
  }
  if (n == 0) {
    if (by_ring_)
      by_ring_->receive(false); // which then waits for the connection's other end
    return {io_state::ended, 0};
  }
  if (errno == EINTR)
    return {};
  if (errno != EAGAIN)
    return {io_state::failed, 0};
  await_bytes();
  return {};
}

io_result stream::read(buffer& into, std::uint64_t limit) {
  if (!readable_)
    return {};
  auto room = into.room();
  auto out =
    read(room.first(static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), limit))));
  into.commit(out.bytes);
  return out;
}

io_result stream::write(std::string_view bytes) noexcept {
  if (!writable_)
    return {};
  if (tls_)
    return write_within(bytes);
  auto n = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (n < 0) {
    if (errno == EINTR)
      return {};
    if (errno != EAGAIN)
      return {io_state::failed, 0};
    await_room();
    return {};
  }
  auto sent = static_cast<std::size_t>(n);
  if (sent < bytes.size())
    await_room();
  return {io_state::moved, sent};
}

bool stream::can_splice_out() noexcept {
  if (tls_)
    return false;
  if (!by_ring_)
    return true;
  // The ring must not read between two splices.
  const auto busy = by_ring_->receiving() || by_ring_->has_bytes() || by_ring_->ended();
  return !busy && watch_by_epoll();
}

io_result stream::splice_to(splice_pipe& pipe, std::size_t limit) noexcept {
  if (!readable_)
    return {};
  auto n = splice(fd_.get(), nullptr, pipe.write_end.get(), nullptr, limit,
                  SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n > 0) {
    pipe.held += static_cast<std::size_t>(n);
    return {io_state::moved, static_cast<std::size_t>(n)};
  }
  if (n == 0)
    return {io_state::ended, 0};
  if (errno != EAGAIN && errno != EINTR)
    return {io_state::failed, 0};
  // The pipe is empty when this is called, so it is the socket that has nothing.
  readable_ = errno == EINTR;
  return {};
}

io_result stream::splice_from(splice_pipe& pipe, std::size_t limit) noexcept {
  if (!writable_)
    return {};
  auto n = splice(pipe.read_end.get(), nullptr, fd_.get(), nullptr, std::min(pipe.held, limit),
                  SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n <= 0) {
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
      return {io_state::failed, 0};
    if (errno == EAGAIN)
      await_room();
    return {};
  }
  pipe.held -= static_cast<std::size_t>(n);
  // A short splice may have other causes than a full socket, so only EAGAIN ends the attempts.
  return {io_state::moved, static_cast<std::size_t>(n)};
}

io_result stream::read_within(std::span<char> into) noexcept {
  if (into.empty())
    return {io_state::ended, 0}; // as a socket's read of nothing
  const auto got = tls_->read(into);
  if (got.how == tls::step::done)
    readable_ = half_closed_ || broken_ || tls_->has_more();
  return {note(got.how), got.bytes};
}

io_result stream::write_within(std::string_view bytes) noexcept {
  if (bytes.empty())
    return {io_state::moved, 0};
  const auto put = tls_->write(bytes);
  return {note(put.how), put.bytes};
}

void stream::take_leave() noexcept {
  if (tls_)
    static_cast<void>(tls_->end());
}

void stream::shut_down_write() noexcept {
  ending_ = tls_ && tls_->end() == tls::step::wants_write;
  if (ending_) {
    writable_ = false;
    return;
  }
  shutdown(fd_.get(), SHUT_WR);
}

} // namespace marchproxy::relay

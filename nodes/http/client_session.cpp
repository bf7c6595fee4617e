// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/http/client_session.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

namespace marchproxy::http {

namespace {

constexpr std::size_t read_size = 64U << 10U;
/// How long a refused client may take to stop sending. Closing at once would reset the connection,
/// and the reset can overtake the answer (RFC 9112 9.6).
constexpr std::chrono::seconds linger_time{2};

} // namespace

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 40> text{};
  const auto size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), size};
}

client_session::client_session(std::uint64_t id,
                               net::accepted&& from,
                               net::event_loop& loop,
                               const server_options& options,
                               const owner& of)
  : id_(id),
    fd_(std::move(from.fd)),
    loop_(loop),
    options_(options),
    owner_(of),
    http_(to_string(from.peer.address), options.max_body),
    timer_([this] { expired(); }) {}

client_session::~client_session() {
  if (fd_)
    loop_.remove(fd_.get(), *this);
}

void client_session::start(bool full) {
  watched_ = EPOLLIN;
  if (!loop_.add(fd_.get(), watched_, *this)) {
    fd_.reset();
    owner_.finished(id_);
    return;
  }
  enter(phase::idle);
  if (full) {
    http_.refuse(503);
    settle();
  }
}

void client_session::on_io(std::uint32_t events) {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0)
    return end();
  if ((events & EPOLLIN) != 0)
    read();
  if (phase_ == phase::over || (events & EPOLLOUT) == 0)
    return;
  settle();
}

void client_session::read() {
  std::array<char, read_size> buffer;
  const auto got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
  if (got < 0) {
    if (errno != EAGAIN && errno != EINTR)
      end();
    return;
  }
  if (phase_ == phase::lingering) {
    if (got == 0)
      end();
    return;
  }
  if (got == 0)
    input_ended_ = true;
  http_.received({buffer.data(), static_cast<std::size_t>(got)});
  advance();
}

/// Hands over the next request when there is one, then sends and waits as the state asks.
void client_session::advance() {
  while (auto next = http_.next_request()) {
    if (owner_.submit(id_, *std::move(next)))
      break;
    response busy;
    busy.status = 503;
    busy.headers.emplace_back("Retry-After", "1");
    http_.answer(busy, http_date());
  }
  settle();
}

void client_session::answer(const response& value) {
  if (phase_ == phase::lingering || phase_ == phase::over)
    return;
  http_.answer(value, http_date());
  advance();
}

/// Sends what there is; false when the session ended in it.
bool client_session::flush() {
  auto& out = http_.output();
  std::size_t sent = 0;
  while (sent < out.size()) {
    const auto wrote = ::send(fd_.get(), out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
    if (wrote < 0) {
      if (errno == EINTR)
        continue;
      if (errno == EAGAIN)
        break;
      end();
      return false;
    }
    sent += static_cast<std::size_t>(wrote);
  }
  out.erase(0, sent);
  if (sent > 0 && phase_ == phase::writing)
    phase_ = phase::idle; // progress: entering `writing` again starts its timer anew
  return true;
}

void client_session::settle() {
  if (phase_ == phase::lingering || !flush())
    return;
  if (!http_.output().empty())
    return enter(phase::writing);
  if (http_.closing())
    return linger();
  if (!http_.wants_input())
    return enter(phase::handling);
  if (input_ended_)
    return end();
  enter(http_.in_the_middle() ? phase::reading : phase::idle);
}

void client_session::enter(phase next) {
  std::uint32_t wanted = 0;
  if (next == phase::writing)
    wanted = EPOLLOUT;
  else if (next != phase::handling)
    wanted = EPOLLIN;
  if (wanted != watched_) {
    watched_ = wanted;
    loop_.modify(fd_.get(), watched_, *this);
  }
  // A request's time runs from its first byte: more bytes do not extend it.
  if (next == phase_ && next != phase::idle)
    return;
  phase_ = next;
  timer_.disarm();
  if (next == phase::idle)
    loop_.arm(timer_, options_.idle_timeout);
  else if (next == phase::reading)
    loop_.arm(timer_, options_.request_timeout);
  else if (next == phase::writing)
    loop_.arm(timer_, options_.write_timeout);
  else if (next == phase::lingering)
    loop_.arm(timer_, linger_time);
}

void client_session::linger() {
  if (input_ended_ || ::shutdown(fd_.get(), SHUT_WR) != 0)
    return end();
  enter(phase::lingering);
}

void client_session::expired() {
  if (phase_ != phase::reading)
    return end();
  http_.refuse(408);
  settle();
}

void client_session::end() {
  if (phase_ == phase::over)
    return;
  phase_ = phase::over;
  timer_.disarm();
  loop_.remove(fd_.get(), *this);
  fd_.reset();
  owner_.finished(id_);
}

} // namespace marchproxy::http

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/dns/tcp_client.hpp"

#include "nodes/wire/dns_message.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace marchproxy::dns {

namespace {

constexpr std::chrono::seconds patience{10};
constexpr std::size_t length_size = 2;
constexpr std::size_t most_question = 4096; // one name and an OPT record need far less
constexpr unsigned most_under_way = 16;
constexpr std::size_t most_unsent = std::size_t{128} * 1024;

} // namespace

tcp_client::tcp_client(net::event_loop& loop,
                       net::accepted&& from,
                       std::uint64_t id,
                       std::span<char> buffer,
                       const owner& to)
  : loop_(loop),
    fd_(std::move(from.fd)),
    peer_(from.peer),
    id_(id),
    buffer_(buffer),
    owner_(to),
    silent_([this] {
      if (under_way_ == 0 || !out_.empty())
        return end();
      loop_.arm(silent_, patience);
    }) {}

tcp_client::~tcp_client() {
  if (fd_)
    loop_.remove(fd_.get(), *this);
}

result<void> tcp_client::start() {
  watched_ = EPOLLIN;
  if (auto added = loop_.add(fd_.get(), watched_, *this); !added)
    return added;
  loop_.arm(silent_, patience);
  return {};
}

void tcp_client::on_io(std::uint32_t events) {
  if (over_)
    return;
  if ((events & EPOLLIN) != 0 && !receive())
    return end();
  if ((events & (EPOLLERR | EPOLLHUP)) != 0 || !take_questions() || !flush())
    return end();
  look_on();
}

/// @return false: the connection failed
bool tcp_client::receive() {
  const auto size = recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
  if (size < 0)
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  half_closed_ = size == 0;
  in_.append(buffer_.data(), static_cast<std::size_t>(size));
  if (size > 0)
    loop_.arm(silent_, patience);
  return true;
}

/// @return false: what the client sends is no question
bool tcp_client::take_questions() {
  std::size_t used = 0;
  const auto left = [&] { return std::string_view{in_}.substr(used); };
  while (!over_ && under_way_ < most_under_way && left().size() >= length_size) {
    const auto size = wire::dns_u16(left(), 0);
    if (size < wire::dns_header_size || size > most_question)
      return false;
    if (left().size() < length_size + size)
      break;
    ++under_way_;
    owner_.asked(*this, left().substr(length_size, size));
    used += length_size + size;
  }
  in_.erase(0, used);
  return true;
}

void tcp_client::answer(std::string_view message) {
  if (over_)
    return;
  --under_way_;
  std::string length(length_size, '\0');
  wire::put_dns_u16(length, 0, message.size());
  out_ += length;
  out_ += message;
  loop_.modify(fd_.get(), watched_ = EPOLLOUT, *this);
}

/// @return false: the client reads no more
bool tcp_client::flush() {
  if (out_.empty())
    return true;
  const auto sent = send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
  if (sent < 0)
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  out_.erase(0, static_cast<std::size_t>(sent));
  loop_.arm(silent_, patience);
  return true;
}

void tcp_client::look_on() {
  if (half_closed_ && under_way_ == 0 && out_.empty())
    return end();
  const auto listens = !half_closed_ && under_way_ < most_under_way && out_.size() < most_unsent;
  const auto wanted =
    (listens ? std::uint32_t{EPOLLIN} : 0U) | (out_.empty() ? 0U : std::uint32_t{EPOLLOUT});
  if (wanted != watched_)
    loop_.modify(fd_.get(), watched_ = wanted, *this);
}

void tcp_client::end() {
  if (std::exchange(over_, true))
    return;
  silent_.disarm();
  loop_.remove(fd_.get(), *this);
  fd_.reset();
  owner_.ended(*this);
}

} // namespace marchproxy::dns

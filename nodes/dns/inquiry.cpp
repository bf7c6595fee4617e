// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/dns/inquiry.hpp"

#include "actors/crypto/random.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace marchproxy::dns {

namespace {

constexpr int most_datagrams = 16; // of one turn; who forges more has to wait
constexpr std::size_t length_size = 2;

/// What a server says when another may know better.
bool says_nothing(unsigned code) noexcept {
  switch (static_cast<rcode>(code)) {
  case rcode::format_error:
  case rcode::server_failure:
  case rcode::not_implemented:
  case rcode::refused:
    return true;
  case rcode::no_error:
  case rcode::name_error:
  case rcode::bad_version:
    return false;
  }
  return false;
}

bool would_block() noexcept {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

} // namespace

inquiry::inquiry(net::event_loop& loop, const plan& p, done tell)
  : loop_(loop),
    plan_(p),
    tell_(std::move(tell)),
    failed_(p.to.servers.size(), false),
    patience_([this] { next_try(); }) {}

inquiry::~inquiry() {
  stop_watching();
}

void inquiry::ask() {
  next_try();
}

void inquiry::next_try() {
  const auto& servers = plan_.to.servers;
  while (tries_ < servers.size() * plan_.to.rounds) {
    server_ = (plan_.first + tries_++) % servers.size();
    if (!failed_[server_] && begin_udp())
      return;
  }
  stop_watching();
  // Later, since nobody is told from within ask().
  if (tries_++ == servers.size() * plan_.to.rounds)
    return loop_.arm(patience_, std::chrono::milliseconds{0});
  server_ = plan_.first; // none has shown to be better
  finish(failure_);
}

bool inquiry::begin_udp() {
  stop_watching();
  const auto random = crypto::random_bytes(sizeof id_);
  id_ = wire::dns_u16(random, 0);
  out_ = question_to_server(plan_.question, id_);
  auto fd = net::connect_udp(plan_.to.servers[server_]);
  if (!fd || send(fd->get(), out_.data(), out_.size(), MSG_NOSIGNAL) < 0)
    return false;
  by_tcp_ = false;
  watch(std::move(*fd), EPOLLIN);
  return true;
}

void inquiry::begin_tcp() {
  stop_watching();
  auto fd = net::connect_tcp(plan_.to.servers[server_]);
  if (!fd)
    return next_try();
  by_tcp_ = true;
  in_.clear();
  std::string framed(length_size, '\0');
  wire::put_dns_u16(framed, 0, out_.size());
  out_ = framed + out_;
  watch(std::move(*fd), EPOLLIN | EPOLLOUT);
}

/// Without the watch the try ends by its timeout.
void inquiry::watch(net::unique_fd fd, std::uint32_t events) {
  loop_.arm(patience_, plan_.to.timeout);
  if (loop_.add(fd.get(), events, *this))
    fd_ = std::move(fd);
}

void inquiry::stop_watching() noexcept {
  if (fd_)
    loop_.remove(fd_.get(), *this);
  fd_.reset();
}

void inquiry::on_io(std::uint32_t /*events*/) {
  if (by_tcp_)
    advance_tcp();
  else
    read_udp();
}

void inquiry::read_udp() {
  const auto tried = tries_;
  for (int i = 0; i < most_datagrams && fd_ && !by_tcp_ && tried == tries_; ++i) {
    const auto size = recv(fd_.get(), plan_.buffer.data(), plan_.buffer.size(), 0);
    if (size >= 0)
      take({plan_.buffer.data(), static_cast<std::size_t>(size)});
    else if (would_block())
      return;
    else
      return next_try(); // nobody listens there
  }
}

void inquiry::advance_tcp() {
  if (!send_rest() || !receive_rest())
    return next_try();
  if (in_.size() < length_size || in_.size() < length_size + wire::dns_u16(in_, 0))
    return;
  const auto message = std::string_view{in_}.substr(length_size, wire::dns_u16(in_, 0));
  if (kind_of(message) == answer_kind::whole || kind_of(message) == answer_kind::failure)
    return take(message);
  next_try();
}

/// @return false: the connection failed
bool inquiry::send_rest() {
  if (out_.empty())
    return true;
  const auto sent = send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
  if (sent < 0)
    return would_block();
  out_.erase(0, static_cast<std::size_t>(sent));
  if (out_.empty())
    loop_.modify(fd_.get(), EPOLLIN, *this);
  return true;
}

/// @return false: the connection ended or failed before the answer was whole
bool inquiry::receive_rest() {
  const auto wanted = [this] {
    return in_.size() < length_size ? length_size : length_size + wire::dns_u16(in_, 0);
  };
  while (in_.size() < wanted()) {
    const auto most = std::min(plan_.buffer.size(), wanted() - in_.size());
    const auto size = recv(fd_.get(), plan_.buffer.data(), most, 0);
    if (size < 0)
      return would_block();
    if (size == 0)
      return false;
    in_.append(plan_.buffer.data(), static_cast<std::size_t>(size));
  }
  return true;
}

inquiry::answer_kind inquiry::kind_of(std::string_view message) const {
  if (message.size() < wire::dns_header_size)
    return answer_kind::foreign;
  const auto header = wire::read_dns_header(message);
  if (header.id != id_ || !header.has(wire::dns_response) || header.opcode() != 0)
    return answer_kind::foreign;
  // A server that could not read the question may leave it out.
  if (header.counts[0] == 0 && says_nothing(header.rcode()))
    return answer_kind::failure;
  const auto reader = wire::dns_reader::open(message);
  if (!reader || !reader->question().same_as(*plan_.question.asked))
    return answer_kind::foreign;
  if (header.has(wire::dns_truncated))
    return answer_kind::truncated;
  return says_nothing(header.rcode()) ? answer_kind::failure : answer_kind::whole;
}

void inquiry::take(std::string_view message) {
  switch (kind_of(message)) {
  case answer_kind::foreign: // forged, or of an earlier try: the right one may still come
    return;
  case answer_kind::truncated:
    return begin_tcp();
  case answer_kind::whole:
    return finish(message);
  case answer_kind::failure:
    failed_[server_] = true;
    if (wire::read_dns_header(message).counts[0] == 1)
      failure_ = message;
    return next_try();
  }
}

void inquiry::finish(std::string_view answer) {
  stop_watching();
  patience_.disarm();
  if (!std::exchange(over_, true))
    tell_({answer, server_});
}

} // namespace marchproxy::dns

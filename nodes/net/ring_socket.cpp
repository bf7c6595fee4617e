// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/net/ring_socket.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace marchproxy::net {

ring_socket::handle ring_socket::open(ring& by, int fd, io_handler& tell) {
  std::unique_ptr<ring_socket> made;
  if (by.spare_.empty()) {
    made.reset(new ring_socket{by});
  } else {
    made = std::move(by.spare_.back());
    by.spare_.pop_back();
  }
  made->fd_ = fd;
  made->handler_ = &tell;
  return handle{made.release()};
}

template <class Prepare>
void ring_socket::start(operation which, Prepare prepare) noexcept {
  ring_->start(*this, which, prepare);
  under_way_ = static_cast<std::uint8_t>(under_way_ | 1U << which);
  batch_ = ring_->batch();
}

void ring_socket::receive(bool drained) noexcept {
  if (receiving() || has_bytes() || ended_ || broken_ || hungry_)
    return;
  start(op_receive, [&](io_uring_sqe* e) {
    io_uring_prep_recv(e, fd_, nullptr, ring::buffer_size, 0);
    e->flags |= IOSQE_BUFFER_SELECT;
    e->buf_group = ring::buffer_group;
    if (drained)
      e->ioprio |= IORING_RECVSEND_POLL_FIRST;
  });
}

void ring_socket::want_writable() noexcept {
  poll(op_writable, EPOLLOUT);
}

void ring_socket::poll(operation which, unsigned events) noexcept {
  if (!is_under_way(which))
    start(which, [&](io_uring_sqe* e) { io_uring_prep_poll_add(e, fd_, events); });
}

std::size_t ring_socket::read(std::span<char> into) noexcept {
  const auto n = std::min<std::size_t>(into.size(), end_ - begin_);
  std::memcpy(into.data(), (kept_ ? kept_.get() : ring_->buffer(buffer_)) + begin_, n);
  begin_ = static_cast<std::uint16_t>(begin_ + n);
  if (begin_ == end_)
    drop_bytes();
  return n;
}

void ring_socket::drop_bytes() noexcept {
  if (end_ > 0 && !kept_)
    ring_->give_back(buffer_);
  kept_.reset();
  begin_ = end_ = 0;
}

void ring_socket::on_completed(unsigned which, int result, std::uint32_t flags) {
  under_way_ = static_cast<std::uint8_t>(under_way_ & ~(1U << which));
  if (which == op_receive)
    on_received(result, flags);
  else if (handler_ != nullptr && result > 0)
    tell(static_cast<std::uint32_t>(result));
  if (handler_ == nullptr)
    let_go();
}

void ring_socket::on_received(int result, std::uint32_t flags) {
  const auto id = static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
  const auto lent = (flags & IORING_CQE_F_BUFFER) != 0;
  if (lent && (handler_ == nullptr || result <= 0))
    ring_->give_back(id);
  if (handler_ == nullptr)
    return;
  if (result > 0) {
    buffer_ = id;
    begin_ = 0;
    end_ = static_cast<std::uint16_t>(result);
    had_more_ = (flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
    tell(EPOLLIN);
  } else if (result == 0) {
    ended_ = true;
    tell(EPOLLIN | EPOLLRDHUP);
  } else if (result == -ENOBUFS) {
    hungry_ = true;
    ring_->receive_later(*this);
  } else {
    broken_ = true;
    tell(EPOLLIN | EPOLLERR);
  }
}

void ring_socket::tell(std::uint32_t events) noexcept {
  news_ |= events;
  unlink();
  ring_->ready_.insert_before(*this);
}

void ring_socket::speak() {
  auto events = news_;
  news_ = 0;
  handler_->on_io(events);
}

void ring_socket::keep() {
  if (!has_bytes() || kept_)
    return;
  const auto n = static_cast<std::size_t>(end_ - begin_);
  kept_.reset(new char[n]);
  std::memcpy(kept_.get(), ring_->buffer(buffer_) + begin_, n);
  ring_->give_back(buffer_);
  begin_ = 0;
  end_ = static_cast<std::uint16_t>(n);
}

/// What was not handed over yet must not be: by then its descriptor may be another's.
void ring_socket::call_off(operation which) noexcept {
  if (!is_under_way(which) || (batch_ == ring_->batch() && ring_->take_back(*this, which)))
    return;
  ring_->cancel(*this, which);
}

/// The handle is gone: calls everything off. When nothing is under way, it is for somebody else.
void ring_socket::let_go() noexcept {
  if (handler_ != nullptr) {
    for (auto which : {op_receive, op_writable, op_hangup})
      call_off(which);
    handler_ = nullptr;
    drop_bytes();
    if (hungry_)
      std::erase(ring_->hungry_, this);
    news_ = 0;
    had_more_ = ended_ = broken_ = hungry_ = false;
  }
  unlink();
  if (under_way_ != 0)
    return ring_->orphans_.insert_before(*this);
  std::unique_ptr<ring_socket> self{this};
  if (ring_->spare_.size() < ring::max_spare)
    ring_->spare_.push_back(std::move(self));
}

} // namespace marchproxy::net

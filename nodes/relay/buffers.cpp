// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/buffers.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace marchproxy::relay {

buffer_pool::block buffer_pool::take() {
  ++lent_;
  if (free_.empty())
    return std::make_unique_for_overwrite<char[]>(block_size);
  auto out = std::move(free_.back());
  free_.pop_back();
  return out;
}

void buffer_pool::give(block b) {
  --lent_;
  if (free_.size() < max_free)
    free_.push_back(std::move(b));
}

buffer::buffer(buffer&& other) noexcept
  : pool_(other.pool_),
    block_(std::move(other.block_)),
    begin_(std::exchange(other.begin_, 0)),
    end_(std::exchange(other.end_, 0)) {}

buffer& buffer::operator=(buffer&& other) noexcept {
  if (this != &other) {
    clear();
    pool_ = other.pool_;
    block_ = std::move(other.block_);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
  }
  return *this;
}

std::string_view buffer::bytes() const noexcept {
  return empty() ? std::string_view{} : std::string_view{block_.get() + begin_, size()};
}

std::span<char> buffer::room() {
  if (!block_)
    block_ = pool_->take();
  if (end_ == buffer_pool::block_size && begin_ > 0) {
    std::memmove(block_.get(), block_.get() + begin_, size());
    end_ -= begin_;
    begin_ = 0;
  }
  return {block_.get() + end_, buffer_pool::block_size - end_};
}

void buffer::commit(std::size_t n) noexcept {
  end_ += static_cast<std::uint32_t>(n);
  consume(0);
}

void buffer::consume(std::size_t n) noexcept {
  begin_ += static_cast<std::uint32_t>(n);
  if (begin_ < end_)
    return;
  begin_ = end_ = 0;
  if (block_)
    pool_->give(std::move(block_));
}

void buffer::append(std::string_view text) {
  auto to = room();
  auto n = std::min(text.size(), to.size());
  std::memcpy(to.data(), text.data(), n);
  commit(n);
}

std::unique_ptr<splice_pipe> pipe_pool::take() {
  if (!free_.empty()) {
    auto out = std::move(free_.back());
    free_.pop_back();
    return out;
  }
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
    return nullptr;
  auto out = std::make_unique<splice_pipe>();
  out->read_end = net::unique_fd{ends[0]};
  out->write_end = net::unique_fd{ends[1]};
  // Beyond the user's share of pipe pages this fails, and the pipe keeps its 64 KiB.
  fcntl(ends[0], F_SETPIPE_SZ, static_cast<int>(pipe_bytes));
  return out;
}

void pipe_pool::give(std::unique_ptr<splice_pipe> p) {
  if (p && p->held == 0 && free_.size() < max_free)
    free_.push_back(std::move(p));
}

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/port/memory_port.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace marchproxy::packet_port {

memory_pool::memory_pool(std::size_t buffers)
  : area_(std::make_unique<std::byte[]>(buffers * buffer_size)) {
  free_.reserve(buffers);
  for (auto i = buffers; i > 0; --i)
    free_.push_back(i - 1);
}

frame memory_pool::take(std::span<const std::byte> bytes) noexcept {
  if (free_.empty() || bytes.size() > buffer_size)
    return {};
  auto index = free_.back();
  free_.pop_back();
  auto* data = area_.get() + index * buffer_size;
  std::memcpy(data, bytes.data(), bytes.size());
  return {data, static_cast<std::uint32_t>(bytes.size()), index};
}

memory_port::memory_port(memory_pool& pool, std::size_t room) : pool_(pool), room_(room) {
  arrived_.reserve(room);
  sent_.reserve(room);
  delivered_.reserve(room);
}

memory_port::~memory_port() {
  for (const auto* list : {&sent_, &delivered_})
    for (const auto& f : *list)
      pool_.give(f);
  for (; next_ < arrived_.size(); ++next_)
    pool_.give(arrived_[next_]);
}

bool memory_port::arrive(std::span<const std::byte> bytes) {
  auto f = waiting() < room_ ? pool_.take(bytes) : frame{};
  if (f.data == nullptr) {
    missed_count_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  arrived_.push_back(f);
  return true;
}

std::vector<frame> memory_port::take_sent() {
  auto out = sent_;
  sent_.clear();
  return out;
}

std::vector<frame> memory_port::take_delivered() {
  auto out = delivered_;
  delivered_.clear();
  return out;
}

std::size_t memory_port::receive(std::span<frame> into) noexcept {
  auto count = std::min({into.size(), waiting(), most_in_burst});
  std::copy_n(arrived_.begin() + static_cast<std::ptrdiff_t>(next_), count, into.begin());
  next_ += count;
  if (next_ == arrived_.size()) {
    arrived_.clear();
    next_ = 0;
  }
  received_count_.fetch_add(count, std::memory_order_relaxed);
  return count;
}

std::size_t memory_port::put(std::vector<frame>& into,
                             std::span<const frame> frames) const noexcept {
  auto count = std::min(frames.size(), room_ - into.size());
  into.insert(into.end(), frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(count));
  return count;
}

std::size_t memory_port::send(std::span<const frame> frames) noexcept {
  auto count = put(sent_, frames);
  sent_count_.fetch_add(count, std::memory_order_relaxed);
  return count;
}

std::size_t memory_port::deliver(std::span<const frame> frames) noexcept {
  return put(delivered_, frames);
}

void memory_port::release(std::span<const frame> frames) noexcept {
  for (const auto& f : frames)
    pool_.give(f);
}

port_counters memory_port::counters() const noexcept {
  return {received_count_.load(std::memory_order_relaxed),
          sent_count_.load(std::memory_order_relaxed),
          missed_count_.load(std::memory_order_relaxed)};
}

} // namespace marchproxy::packet_port

// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <utility>
#include <vector>

namespace marchproxy::relay {

/// A bounded queue between exactly one writing and one reading thread, without locks. When it is
/// full the writer loses, at once and visibly: a slow reader never slows a flow.
template <class Record>
class record_ring {
public:
  /// @param capacity  rounded up to a power of two
  explicit record_ring(std::size_t capacity) : slots_(std::bit_ceil(capacity)) {}

  /// Writer. False when full; the record is untouched then.
  [[nodiscard]] bool push(Record&& record) noexcept {
    auto tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) == slots_.size())
      return false;
    slots_[tail & (slots_.size() - 1)] = std::move(record);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  /// Reader. False when empty.
  [[nodiscard]] bool pop(Record& into) noexcept {
    auto head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire))
      return false;
    into = std::move(slots_[head & (slots_.size() - 1)]);
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

private:
  std::vector<Record> slots_;
  alignas(64) std::atomic<std::size_t> tail_{0};
  alignas(64) std::atomic<std::size_t> head_{0};
};

} // namespace marchproxy::relay

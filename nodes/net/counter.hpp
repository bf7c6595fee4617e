// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <atomic>
#include <cstdint>

namespace marchproxy::net {

/// Written by one thread, read by any.
class counter {
public:
  // One writer: a plain addition, no locked instruction.
  void add(std::uint64_t n = 1) noexcept { set(get() + n); }
  void sub(std::uint64_t n = 1) noexcept { set(get() - n); }
  [[nodiscard]] std::uint64_t get() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

private:
  void set(std::uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
  std::atomic<std::uint64_t> value_{0};
};

} // namespace marchproxy::net

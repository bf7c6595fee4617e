// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace marchproxy::http {

/// Threads that run work which may block. Bounded: work beyond the bound is refused, not piled up.
class handler_pool {
public:
  handler_pool(std::size_t threads, std::size_t max_waiting);
  handler_pool(const handler_pool&) = delete;
  handler_pool& operator=(const handler_pool&) = delete;
  ~handler_pool() { stop(); }

  /// Waits for the work that has begun; what waits is dropped, what comes is refused.
  void stop();

  /// False when @p max_waiting pieces wait already. Any thread.
  [[nodiscard]] bool submit(std::function<void()> work);

private:
  void run();

  std::size_t max_waiting_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

} // namespace marchproxy::http

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/http/handler_pool.hpp"

#include <utility>

namespace marchproxy::http {

handler_pool::handler_pool(std::size_t threads, std::size_t max_waiting)
  : max_waiting_(max_waiting) {
  threads_.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i)
    threads_.emplace_back([this] { run(); });
}

void handler_pool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  changed_.notify_all();
  for (auto& thread : threads_)
    if (thread.joinable())
      thread.join();
}

bool handler_pool::submit(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || waiting_.size() >= max_waiting_)
      return false;
    waiting_.push_back(std::move(work));
  }
  changed_.notify_one();
  return true;
}

void handler_pool::run() {
  for (;;) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_)
        return;
      work = std::move(waiting_.front());
      waiting_.pop_front();
    }
    work();
  }
}

} // namespace marchproxy::http

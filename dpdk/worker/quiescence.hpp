// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace marchproxy::packet_worker {

/// When may what was replaced be freed? When every worker has said, after the replacement, that it
/// holds nothing it read before. This is the quiescent-state scheme of rte_rcu_qsbr; written again
/// because AF_XDP workers run without DPDK, and because librte_rcu needs the EAL to be initialised.
///
/// The order that makes it safe: the writer replaces a pointer, then advances the token (release).
/// A worker reads the token (acquire) and stores it as its own mark. When the mark is the new token
/// or later, the worker's next read of the pointer comes after the replacement. No fence, and no
/// locked instruction in a worker that is busy.
///
/// Readers are numbered from 0. pass, enter and leave are each reader's own thread's; wait is for
/// one writer at a time.
class quiescence {
public:
  explicit quiescence(std::size_t readers)
    : count_(readers), marks_(std::make_unique<mark[]>(readers)) {}

  /// The reader begins to hold pointers.
  void enter(std::size_t reader) noexcept {
    marks_[reader].at.store(token_.load(std::memory_order_acquire), std::memory_order_relaxed);
    // Until now the writer did not wait. Either its advance of the token comes after this write,
    // and then it sees the mark; or before, and then the reader sees what it replaced.
    token_.fetch_add(0, std::memory_order_acq_rel);
  }
  /// The reader holds nothing, and goes on.
  void pass(std::size_t reader) noexcept {
    marks_[reader].at.store(token_.load(std::memory_order_acquire), std::memory_order_release);
  }
  /// The reader holds nothing until it enters again; nobody waits for it.
  void leave(std::size_t reader) noexcept {
    marks_[reader].at.store(away, std::memory_order_release);
  }

  /// Returns when no reader holds anything that was replaced before the call. A worker takes one
  /// burst, so microseconds; the caller is a control thread, never a worker or an actor's handler.
  /// @errors timeout when a reader did not pass in time: what was replaced must be kept
  [[nodiscard]] result<void> wait(std::chrono::milliseconds limit) {
    auto wanted = token_.fetch_add(1, std::memory_order_acq_rel) + 1;
    auto deadline = std::chrono::steady_clock::now() + limit;
    for (std::size_t i = 0; i < count_; ++i)
      while (marks_[i].at.load(std::memory_order_acquire) < wanted) {
        if (std::chrono::steady_clock::now() > deadline)
          return fail(errc::timeout, "packet worker " + std::to_string(i) + " does not move on");
        std::this_thread::yield();
      }
    return {};
  }

private:
  static constexpr std::uint64_t away = ~std::uint64_t{0};
  struct alignas(64) mark {
    std::atomic<std::uint64_t> at{away};
  };
  alignas(64) std::atomic<std::uint64_t> token_{1};
  std::size_t count_;
  std::unique_ptr<mark[]> marks_;
};

/// A value that a control thread replaces whole and workers read once a burst.
template <class T>
class published {
public:
  /// Worker: valid until its next quiescence::pass or leave. Null before the first exchange.
  [[nodiscard]] const T* read() const noexcept { return now_.load(std::memory_order_acquire); }
  /// Control thread: puts @p next in force and returns what was; it must live until
  /// quiescence::wait has succeeded.
  [[nodiscard]] std::shared_ptr<const T> exchange(std::shared_ptr<const T> next) noexcept {
    now_.store(next.get(), std::memory_order_release);
    return std::exchange(kept_, std::move(next));
  }

private:
  std::atomic<const T*> now_{nullptr};
  std::shared_ptr<const T> kept_;
};

} // namespace marchproxy::packet_worker

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/net/ring.hpp"
#include "nodes/net/socket.hpp"
#include "nodes/net/timer_wheel.hpp"

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace marchproxy::net {

/// Who is told of events on a descriptor. Not owned by the loop.
class io_handler {
public:
  /// @param events  EPOLL* bits
  virtual void on_io(std::uint32_t events) = 0;

protected:
  io_handler() = default;
  io_handler(const io_handler&) = default;
  io_handler& operator=(const io_handler&) = default;
  ~io_handler() = default;
};

/// Runs its action once in the loop's next turn, unless cancelled or destroyed before.
class task : public list_node {
public:
  explicit task(std::function<void()> action) : action_(std::move(action)) {}
  void cancel() noexcept { unlink(); }

private:
  friend class event_loop;
  std::function<void()> action_;
};

/// How a loop hears of descriptors.
enum class loop_backend : std::uint8_t {
  epoll,
  io_uring, ///< epoll too, which the ring waits for; sockets may be received from by the ring
};

/// Waits for descriptors, timers and posted work, and runs them one after the other in the thread
/// that calls run().
///
/// A turn is: the turn hook, timers, tasks, events, the end hook. All members but post() and stop()
/// belong to that thread (or to whoever owns the loop while it does not run).
class event_loop final : ring_client {
public:
  [[nodiscard]] static result<std::unique_ptr<event_loop>> create();
  event_loop(const event_loop&) = delete;
  event_loop& operator=(const event_loop&) = delete;
  ~event_loop();

  /// Waits by @p backend from now on. By the thread that will run it, before its first turn.
  /// @errors as ring::create
  [[nodiscard]] result<void> wait_by(loop_backend backend);

  /// Runs turns until stop().
  void run();
  /// One turn that waits at most @p limit.
  void run_once(std::chrono::milliseconds limit);
  /// Ends run() after the present turn. Any thread.
  void stop() noexcept;
  /// Runs @p work in a turn to come. Any thread.
  void post(std::function<void()> work);

  /// Watches @p fd. The handler must outlive the registration.
  /// @errors limit_reached when the kernel has no room for another watch; internal otherwise
  [[nodiscard]] result<void> add(int fd, std::uint32_t events, io_handler& handler);
  void modify(int fd, std::uint32_t events, io_handler& handler) noexcept;
  /// After this the handler hears nothing more, not even events that this turn has already
  /// received.
  void remove(int fd, io_handler& handler) noexcept;
  /// As remove(), for a descriptor that its owner closes now and that nobody has a duplicate of:
  /// the close ends the registration, so no call of the kernel's is spent on it.
  void forget(io_handler& handler) noexcept;

  /// The time this turn began. Timers count from here.
  [[nodiscard]] clock::time_point now() const noexcept { return now_; }
  void arm(timer& t, clock::duration after) noexcept { wheel_.arm(t, now_ + after); }
  void soon(task& t) noexcept;

  /// For ring_socket. Null: the loop has none.
  [[nodiscard]] net::ring* ring() const noexcept { return ring_.get(); }

  /// @p begin runs first in every turn, @p end last.
  void set_turn_hooks(std::function<void()> begin, std::function<void()> end);

private:
  static constexpr int batch = 256;
  event_loop(unique_fd epoll, unique_fd wake) noexcept;
  void on_completed(unsigned which, int result, std::uint32_t flags) override;
  [[nodiscard]] int wait_by_ring(std::chrono::milliseconds limit);
  void run_posted();
  void run_tasks();
  void wake() noexcept;
  [[nodiscard]] int wait_limit(std::chrono::milliseconds limit) noexcept;

  unique_fd epoll_;
  unique_fd wake_;
  std::unique_ptr<net::ring> ring_;
  bool epoll_asked_ = false; ///< the ring tells when epoll has events
  clock::time_point now_;
  timer_wheel wheel_;
  list_node tasks_;
  std::function<void()> begin_;
  std::function<void()> end_;
  std::array<epoll_event, batch> events_{};
  int received_ = 0; ///< events of this turn
  int handled_ = 0;
  std::atomic<bool> stopping_{false};
  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;
};

} // namespace marchproxy::net

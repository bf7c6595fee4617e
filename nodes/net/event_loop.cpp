// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/net/event_loop.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace marchproxy::net {

result<std::unique_ptr<event_loop>> event_loop::create() {
  unique_fd epoll{epoll_create1(EPOLL_CLOEXEC)};
  unique_fd wake{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  if (!epoll || !wake)
    return fail(errc::unavailable, std::string{"event loop: "} + std::strerror(errno));
  // The wake descriptor is the one registration without a handler.
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0)
    return fail(errc::unavailable, std::string{"event loop: "} + std::strerror(errno));
  return std::unique_ptr<event_loop>{new event_loop{std::move(epoll), std::move(wake)}};
}

event_loop::event_loop(unique_fd epoll, unique_fd wake) noexcept
  : epoll_(std::move(epoll)), wake_(std::move(wake)), now_(clock::now()), wheel_(now_) {}

result<void> event_loop::wait_by(loop_backend backend) {
  if (backend == loop_backend::epoll)
    return {};
  auto made = net::ring::create();
  if (!made)
    return tl::unexpected(made.error());
  ring_ = std::move(*made);
  return {};
}

event_loop::~event_loop() = default;

void event_loop::run() {
  while (!stopping_.load(std::memory_order_acquire))
    run_once(std::chrono::milliseconds::max());
  if (ring_)
    ring_->turn(std::chrono::milliseconds{0}); // what was closed in the last turn is let go
}

void event_loop::run_once(std::chrono::milliseconds limit) {
  auto n = ring_ ? wait_by_ring(limit)
                 : epoll_wait(epoll_.get(), events_.data(), batch, wait_limit(limit));
  received_ = std::max(n, 0); // EINTR is a turn without events
  handled_ = 0;               // before timers and tasks, which may remove handlers
  now_ = clock::now();
  if (begin_)
    begin_();
  wheel_.advance(now_);
  run_tasks();
  if (ring_)
    ring_->dispatch();
  while (handled_ < received_) {
    auto event = events_[static_cast<std::size_t>(handled_++)];
    if (auto* handler = static_cast<io_handler*>(event.data.ptr); handler != nullptr)
      handler->on_io(event.events);
    else if (event.events != 0)
      run_posted();
  }
  received_ = 0;
  if (end_)
    end_();
  if (ring_)
    ring_->settle();
}

int event_loop::wait_by_ring(std::chrono::milliseconds limit) {
  // Once for each time that there are events: asked anew, it tells of those that are left too.
  if (!std::exchange(epoll_asked_, true))
    ring_->start(*this, 0,
                 [&](io_uring_sqe* e) { io_uring_prep_poll_add(e, epoll_.get(), EPOLLIN); });
  ring_->turn(std::chrono::milliseconds{wait_limit(limit)});
  return epoll_asked_ ? 0 : epoll_wait(epoll_.get(), events_.data(), batch, 0);
}

void event_loop::on_completed(unsigned /*which*/, int /*result*/, std::uint32_t /*flags*/) {
  epoll_asked_ = false;
}

void event_loop::stop() noexcept {
  stopping_.store(true, std::memory_order_release);
  wake();
}

void event_loop::post(std::function<void()> work) {
  {
    std::lock_guard lock{posted_mutex_};
    posted_.push_back(std::move(work));
  }
  wake();
}

void event_loop::wake() noexcept {
  std::uint64_t one = 1;
  // A full counter means that the loop is being woken already.
  (void)!write(wake_.get(), &one, sizeof one);
}

result<void> event_loop::add(int fd, std::uint32_t events, io_handler& handler) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &handler;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0)
    return {};
  auto code = errno == ENOSPC || errno == ENOMEM ? errc::limit_reached : errc::internal;
  return fail(code, std::string{"epoll add: "} + std::strerror(errno));
}

void event_loop::modify(int fd, std::uint32_t events, io_handler& handler) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &handler;
  auto done = epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
  MP_INVARIANT(done == 0); // only a descriptor that was never added can fail
}

void event_loop::remove(int fd, io_handler& handler) noexcept {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  forget(handler);
}

void event_loop::forget(io_handler& handler) noexcept {
  for (auto i = handled_; i < received_; ++i) {
    auto& event = events_[static_cast<std::size_t>(i)];
    if (event.data.ptr == &handler) {
      event.data.ptr = nullptr;
      event.events = 0;
    }
  }
}

void event_loop::soon(task& t) noexcept {
  t.unlink();
  tasks_.insert_before(t);
}

void event_loop::set_turn_hooks(std::function<void()> begin, std::function<void()> end) {
  begin_ = std::move(begin);
  end_ = std::move(end);
}

void event_loop::run_posted() {
  std::uint64_t count = 0;
  (void)!read(wake_.get(), &count, sizeof count);
  std::vector<std::function<void()>> work;
  {
    std::lock_guard lock{posted_mutex_};
    work.swap(posted_);
  }
  for (auto& each : work)
    each();
}

void event_loop::run_tasks() {
  // Tasks that tasks start belong to the next turn.
  list_node present;
  while (tasks_.linked()) {
    auto* node = tasks_.next();
    node->unlink();
    present.insert_before(*node);
  }
  while (present.linked()) {
    auto* t = static_cast<task*>(present.next());
    t->unlink();
    t->action_();
  }
}

int event_loop::wait_limit(std::chrono::milliseconds limit) noexcept {
  if (tasks_.linked())
    return 0;
  auto next = wheel_.next_wake();
  if (next) {
    auto until = std::chrono::ceil<std::chrono::milliseconds>(*next - clock::now());
    limit = std::min(limit, std::max(until, std::chrono::milliseconds{0}));
  } else if (limit == std::chrono::milliseconds::max()) {
    return -1;
  }
  return static_cast<int>(std::min<std::int64_t>(limit.count(), std::numeric_limits<int>::max()));
}

} // namespace marchproxy::net

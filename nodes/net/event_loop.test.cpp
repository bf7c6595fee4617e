// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/event_loop.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace marchproxy::net {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<event_loop> make_loop() {
  auto loop = event_loop::create();
  EXPECT_TRUE(loop.has_value());
  return std::move(*loop);
}

/// Turns until @p done, or fails after five seconds.
template <class Done>
void turn_until(event_loop& loop, Done done) {
  auto deadline = clock::now() + 5s;
  while (!done() && clock::now() < deadline)
    loop.run_once(50ms);
  EXPECT_TRUE(done());
}

struct recorder final : io_handler {
  void on_io(std::uint32_t e) override {
    events |= e;
    ++calls;
    if (then)
      then();
  }
  std::uint32_t events = 0;
  int calls = 0;
  std::function<void()> then;
};

struct pair {
  pair() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    a = unique_fd{fds[0]};
    b = unique_fd{fds[1]};
  }
  unique_fd a, b;
};

TEST(event_loop, tells_a_handler_of_its_descriptor) {
  auto loop = make_loop();
  pair p;
  recorder seen;
  ASSERT_TRUE(loop->add(p.a.get(), EPOLLIN, seen));
  ASSERT_EQ(write(p.b.get(), "x", 1), 1);
  turn_until(*loop, [&] { return seen.calls > 0; });
  EXPECT_EQ(seen.events, EPOLLIN);
  loop->modify(p.a.get(), EPOLLOUT, seen);
  turn_until(*loop, [&] { return (seen.events & EPOLLOUT) != 0; });
  loop->remove(p.a.get(), seen);
}

TEST(event_loop, a_removed_handler_hears_nothing_that_was_already_received) {
  auto loop = make_loop();
  pair p, q;
  recorder first, second;
  ASSERT_TRUE(loop->add(p.a.get(), EPOLLIN, first));
  ASSERT_TRUE(loop->add(q.a.get(), EPOLLIN, second));
  first.then = [&] { loop->remove(q.a.get(), second); };
  second.then = [&] { loop->remove(p.a.get(), first); };
  ASSERT_EQ(write(p.b.get(), "x", 1), 1);
  ASSERT_EQ(write(q.b.get(), "x", 1), 1);
  loop->run_once(1s);
  EXPECT_EQ(first.calls + second.calls, 1);
  loop->remove(p.a.get(), first);
  loop->remove(q.a.get(), second);
}

TEST(event_loop, a_handler_that_a_task_removed_hears_nothing_that_was_already_received) {
  auto loop = make_loop();
  pair p;
  recorder seen;
  ASSERT_TRUE(loop->add(p.a.get(), EPOLLIN, seen));
  ASSERT_EQ(write(p.b.get(), "x", 1), 1);
  loop->run_once(1s);
  ASSERT_EQ(seen.calls, 1);
  task removal{[&] { loop->remove(p.a.get(), seen); }};
  loop->soon(removal);
  loop->run_once(1s); // it is level-triggered, so it was received again
  EXPECT_EQ(seen.calls, 1);
}

TEST(event_loop, a_forgotten_handler_hears_nothing_once_its_descriptor_is_closed) {
  auto loop = make_loop();
  pair p, q;
  recorder first, second;
  ASSERT_TRUE(loop->add(p.a.get(), EPOLLIN, first));
  ASSERT_TRUE(loop->add(q.a.get(), EPOLLIN, second));
  auto close_other = [&loop](pair& other, recorder& handler) {
    loop->forget(handler);
    other.a.reset();
  };
  first.then = [&] { close_other(q, second); };
  second.then = [&] { close_other(p, first); };
  ASSERT_EQ(write(p.b.get(), "x", 1), 1);
  ASSERT_EQ(write(q.b.get(), "x", 1), 1);
  loop->run_once(1s);
  loop->run_once(1s);
  auto& closed = p.a ? second : first;
  EXPECT_EQ(closed.calls, 0);
  EXPECT_EQ(first.calls + second.calls, 2); // it is level-triggered
}

TEST(event_loop, runs_posted_work_of_other_threads_in_its_own) {
  auto loop = make_loop();
  int sum = 0;
  std::thread other{[&] {
    for (int i = 1; i <= 1000; ++i)
      loop->post([&sum, i] { sum += i; });
    loop->post([&] { loop->stop(); });
  }};
  loop->run();
  other.join();
  EXPECT_EQ(sum, 500500);
}

TEST(event_loop, timers_fire_once_in_order_and_never_early) {
  auto loop = make_loop();
  loop->run_once(0ms);
  auto begin = clock::now();
  std::string order;
  clock::time_point last{};
  timer c{[&] { order += 'c', last = clock::now(); }};
  timer a{[&] { order += 'a'; }};
  timer b{[&] { order += 'b'; }};
  timer never{[&] { order += '!'; }};
  loop->arm(c, 90ms);
  loop->arm(a, 0ms);
  loop->arm(b, 40ms);
  loop->arm(never, 20ms);
  never.disarm();
  {
    timer gone{[&] { order += '?'; }};
    loop->arm(gone, 10ms);
  }
  turn_until(*loop, [&] { return order.size() == 3; });
  EXPECT_EQ(order, "abc");
  EXPECT_GE(last - begin, 90ms);
  EXPECT_FALSE(c.armed());
}

TEST(timer_wheel, holds_deadlines_beyond_one_turn_of_the_wheel) {
  auto now = clock::now();
  timer_wheel wheel{now};
  int fired = 0;
  timer far{[&] { ++fired; }};
  wheel.arm(far, now + 60s);
  for (auto at = 0ms; at < 60s; at += 100ms)
    wheel.advance(now + at);
  EXPECT_EQ(fired, 0);
  EXPECT_TRUE(wheel.next_wake().has_value());
  wheel.advance(now + 60s + 2 * timer_wheel::tick);
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(wheel.next_wake().has_value());
  wheel.arm(far, now + 61s);
  wheel.advance(now + 600s); // a jump past every slot
  EXPECT_EQ(fired, 2);
}

TEST(timer_wheel, an_action_may_destroy_another_due_timer) {
  auto now = clock::now();
  timer_wheel wheel{now};
  std::unique_ptr<timer> second;
  timer first{[&] { second.reset(); }};
  second = std::make_unique<timer>([] { FAIL(); });
  wheel.arm(first, now + 1ms);
  wheel.arm(*second, now + 1ms);
  wheel.advance(now + 1s);
  EXPECT_FALSE(second);
}

TEST(event_loop, tasks_run_in_the_next_turn_between_the_hooks) {
  auto loop = make_loop();
  std::string order;
  task again{[&] { order += 'x'; }};
  task t{[&] {
    order += 't';
    loop->soon(again);
  }};
  task dropped{[&] { order += '!'; }};
  loop->set_turn_hooks([&] { order += '('; }, [&] { order += ')'; });
  loop->soon(t);
  loop->soon(dropped);
  dropped.cancel();
  loop->run_once(1s);
  loop->run_once(1s);
  EXPECT_EQ(order, "(t)(x)");
}

} // namespace
} // namespace marchproxy::net

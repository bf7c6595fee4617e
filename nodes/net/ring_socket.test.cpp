// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/ring_socket.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace marchproxy::net {
namespace {

using namespace std::chrono_literals;

/// A loop with a ring and a pair of connected TCP sockets: ours is received from by the ring.
class ring_socket_test : public ::testing::Test, public io_handler {
protected:
  void SetUp() override {
    loop = std::move(*event_loop::create());
    if (auto made = loop->wait_by(loop_backend::io_uring); !made)
      GTEST_SKIP() << to_string(made.error());
    connect();
  }
  void TearDown() override {
    in.reset();
    ours.reset();
  }

  void connect() {
    auto listening = listen_tcp({*parse_ip("127.0.0.1"), 0}, {});
    ASSERT_TRUE(listening);
    auto out = connect_tcp(local_endpoint(listening->get()));
    ASSERT_TRUE(out);
    theirs = std::move(*out);
    auto deadline = clock::now() + 5s;
    accepted got;
    while (!got.fd && clock::now() < deadline)
      got = accept_tcp(listening->get()).connection;
    ours = std::move(got.fd);
    in = ring_socket::open(*loop->ring(), ours.get(), *this);
  }
  void on_io(std::uint32_t e) override {
    events |= e;
    if (then)
      then();
  }
  template <class Done>
  void turn_until(Done done) {
    auto deadline = clock::now() + 5s;
    while (!done() && clock::now() < deadline)
      loop->run_once(50ms);
    EXPECT_TRUE(done());
  }
  void say(const std::string& bytes) const {
    ASSERT_EQ(send(theirs.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  std::string take(std::size_t most = 65536) {
    std::string out(most, '\0');
    out.resize(in->read(out));
    return out;
  }

  std::unique_ptr<event_loop> loop;
  unique_fd ours;
  unique_fd theirs;
  ring_socket::handle in;
  std::uint32_t events = 0;
  std::function<void()> then;
};

TEST_F(ring_socket_test, tells_of_bytes_and_gives_them_in_parts) {
  in->receive(false);
  say("hello");
  turn_until([&] { return (events & EPOLLIN) != 0; });
  EXPECT_EQ(take(2), "he");
  EXPECT_TRUE(in->has_bytes());
  loop->run_once(0ms); // another turn: they wait in memory of their own
  EXPECT_EQ(take(), "llo");
  EXPECT_FALSE(in->has_bytes());
  events = 0;
  in->receive(true);
  say("more");
  turn_until([&] { return (events & EPOLLIN) != 0; });
  EXPECT_EQ(take(), "more");
}

TEST_F(ring_socket_test, what_nobody_reads_is_one_buffer_and_the_rest_waits_in_the_socket) {
  in->receive(false);
  std::string sent;
  for (int i = 0; i < 5000; ++i)
    sent += std::to_string(i) + " ";
  say(sent);
  turn_until([&] { return in->has_bytes(); });
  EXPECT_TRUE(in->had_more());
  in->receive(false);
  EXPECT_FALSE(in->receiving()); // what came is to be read first
  loop->run_once(0ms);
  auto first = take();
  EXPECT_LT(first.size(), sent.size());
  std::string rest(65536, '\0');
  rest.resize(static_cast<std::size_t>(recv(ours.get(), rest.data(), rest.size(), 0)));
  EXPECT_EQ(first + rest, sent);
}

TEST_F(ring_socket_test, many_at_once_share_few_buffers) {
  struct one final : io_handler {
    void on_io(std::uint32_t) override {
      std::string part(65536, '\0');
      part.resize(in->read(part));
      got += part;
    }
    std::array<unique_fd, 2> fds;
    ring_socket::handle in;
    std::string got;
  };
  constexpr std::size_t count = 400; // more than the ring has buffers
  std::vector<std::unique_ptr<one>> all;
  for (std::size_t i = 0; i < count; ++i) {
    int fds[2] = {-1, -1};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    auto& o = *all.emplace_back(std::make_unique<one>());
    o.fds = {unique_fd{fds[0]}, unique_fd{fds[1]}};
    o.in = ring_socket::open(*loop->ring(), fds[0], o);
    o.in->receive(false);
  }
  loop->run_once(0ms);
  for (auto& o : all)
    ASSERT_EQ(write(o->fds[1].get(), "0123456789", 10), 10);
  turn_until([&] {
    return std::all_of(all.begin(), all.end(),
                       [](const auto& o) { return o->got == "0123456789"; });
  });
  for (auto& o : all)
    o->in.reset();
}

TEST_F(ring_socket_test, tells_of_the_end_behind_the_bytes) {
  in->receive(false);
  say("last");
  theirs.reset();
  turn_until([&] { return in->has_bytes(); });
  EXPECT_EQ(take(), "last");
  in->receive(true);
  turn_until([&] { return (events & EPOLLRDHUP) != 0; });
  EXPECT_TRUE(in->ended());
  EXPECT_FALSE(in->broken());
}

TEST_F(ring_socket_test, tells_of_a_reset_even_after_the_end) {
  in->receive(false);
  shutdown(theirs.get(), SHUT_WR);
  turn_until([&] { return in->ended(); });
  EXPECT_EQ(events & (EPOLLERR | EPOLLHUP), 0U);
  reset_on_close(theirs.get());
  theirs.reset();
  turn_until([&] { return (events & (EPOLLERR | EPOLLHUP)) != 0; });
}

TEST_F(ring_socket_test, tells_of_a_reset) {
  in->receive(false);
  loop->run_once(0ms);
  reset_on_close(theirs.get());
  theirs.reset();
  turn_until([&] { return in->broken(); });
  EXPECT_NE(events & EPOLLERR, 0U);
}

TEST_F(ring_socket_test, the_peer_sees_the_end_in_the_turn_after_it_was_let_go) {
  in->receive(false);
  loop->run_once(0ms);
  in.reset();
  ours.reset();
  loop->run_once(0ms);
  loop->run_once(0ms);
  char byte = 0;
  EXPECT_EQ(recv(theirs.get(), &byte, 1, 0), 0);
}

TEST_F(ring_socket_test, what_was_not_handed_over_never_touches_the_descriptor_s_next_owner) {
  in->receive(false);
  const auto number = ours.get();
  in.reset();
  ASSERT_EQ(dup2(theirs.get(), number), number); // keeps the number from the connection's other end
  static_cast<void>(ours.release());
  auto before = std::move(theirs);
  connect();
  in.reset();
  ASSERT_EQ(dup2(ours.get(), number), number);
  ours = unique_fd{number};
  say("for the next");
  in = ring_socket::open(*loop->ring(), number, *this);
  in->receive(false);
  turn_until([&] { return in->has_bytes(); });
  EXPECT_EQ(take(), "for the next");
}

TEST_F(ring_socket_test, a_full_socket_tells_when_it_takes_bytes_again) {
  std::string block(65536, 'x');
  while (send(ours.get(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
  }
  in->want_writable();
  loop->run_once(0ms);
  EXPECT_EQ(events & EPOLLOUT, 0U);
  turn_until([&] {
    while (recv(theirs.get(), block.data(), block.size(), MSG_DONTWAIT) > 0) {
    }
    return (events & EPOLLOUT) != 0;
  });
}

TEST_F(ring_socket_test, what_epoll_watches_in_a_loop_with_a_ring_is_told_too) {
  struct level final : io_handler {
    void on_io(std::uint32_t) override { ++calls; }
    int calls = 0;
  } seen;
  int fds[2] = {-1, -1};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  unique_fd a{fds[0]}, b{fds[1]};
  ASSERT_TRUE(loop->add(a.get(), EPOLLIN, seen));
  ASSERT_EQ(write(b.get(), "x", 1), 1);
  // By level: as long as nobody reads it.
  turn_until([&] { return seen.calls > 3; });
  loop->remove(a.get(), seen);
}

} // namespace
} // namespace marchproxy::net

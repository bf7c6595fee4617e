// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/http/server.hpp"

#include <gtest/gtest.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace marchproxy::http {
namespace {

using namespace std::chrono_literals;

server_options loopback() {
  server_options out;
  out.listen = {ip_address::v4(0x7F000001), 0};
  return out;
}

/// A blocking client that shares no code with the server.
class client {
public:
  explicit client(const server& of) {
    const auto to = net::to_socket_address(of.local());
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval limit{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    connected_ = ::connect(fd_, to.get(), to.size) == 0;
  }
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  ~client() { ::close(fd_); }

  void send(std::string_view bytes) {
    ASSERT_TRUE(connected_);
    while (!bytes.empty()) {
      const auto wrote = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (wrote <= 0)
        return; // the server ended the connection: the test reads its answer
      bytes.remove_prefix(static_cast<std::size_t>(wrote));
    }
  }
  /// Reads until @p mark came, or the end, or ten seconds without a byte.
  std::string read_until(std::string_view mark) {
    std::array<char, 65536> buffer{};
    std::size_t from = 0; // the mark does not begin before this
    while (mark.empty() || seen_.find(mark, from) == std::string::npos) {
      from = seen_.size() - std::min(seen_.size(), mark.size());
      const auto got = ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (got <= 0)
        break;
      seen_.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return seen_;
  }
  std::string read_to_end() { return read_until({}); }

private:
  int fd_ = -1;
  bool connected_ = false;
  std::string seen_;
};

std::unique_ptr<server> serve(server_options options, server::handler handle) {
  auto made = server::start(options, std::move(handle));
  EXPECT_TRUE(made) << (made ? "" : to_string(made.error()));
  return made ? *std::move(made) : nullptr;
}

response echo(const request& asked) {
  response out;
  out.headers.emplace_back("X-Peer", asked.peer);
  out.body = asked.method + " " + asked.path + " " + asked.body + ".";
  return out;
}

/// Holds handlers until it is opened.
class gate {
public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait_for(lock, 20s, [this] { return open_; });
  }
  void wait_for(int waiting) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 20s, [&] { return waiting_ >= waiting; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool open_ = false;
};

TEST(server, keeps_a_connection_and_answers_pipelined_requests_in_order) {
  const auto http = serve(loopback(), echo);
  client c(*http);
  std::string batch;
  for (int i = 0; i < 50; ++i)
    batch += "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
  c.send(batch);
  const auto seen = c.read_until("POST /49 hi.");
  std::size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    at = seen.find("POST /" + std::to_string(i) + " hi.", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_NE(seen.find("X-Peer: 127.0.0.1\r\n"), std::string::npos);
  EXPECT_NE(seen.find("Date: "), std::string::npos);
}

TEST(server, a_body_beyond_the_bound_gets_413_although_the_client_still_sends) {
  auto options = loopback();
  options.max_body = 1000;
  const auto http = serve(options, echo);
  client c(*http);
  c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n");
  c.send(std::string(200'000, 'x'));
  EXPECT_EQ(c.read_to_end().substr(0, 12), "HTTP/1.1 413");
}

TEST(server, a_large_body_goes_both_ways) {
  const auto http = serve(loopback(), echo);
  client c(*http);
  const std::size_t size = 7U << 20U;
  std::thread sender([&] {
    c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n");
    c.send(std::string(size, 'x'));
  });
  sender.join();
  EXPECT_GT(c.read_until("x.").size(), size);
}

TEST(server, a_request_that_does_not_come_to_an_end_gets_408) {
  auto options = loopback();
  options.request_timeout = 50ms;
  const auto http = serve(options, echo);
  client c(*http);
  c.send("GET / HTTP/1.1\r\nHost");
  EXPECT_EQ(c.read_to_end().substr(0, 12), "HTTP/1.1 408");
}

TEST(server, an_idle_connection_is_closed_without_a_word) {
  auto options = loopback();
  options.idle_timeout = 30ms;
  const auto http = serve(options, echo);
  client c(*http);
  EXPECT_EQ(c.read_to_end(), "");
}

TEST(server, a_head_beyond_the_bound_gets_431) {
  const auto http = serve(loopback(), echo);
  client c(*http);
  c.send("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(40'000, 'x'));
  EXPECT_EQ(c.read_to_end().substr(0, 12), "HTTP/1.1 431");
}

TEST(server, one_connection_too_many_gets_503) {
  auto options = loopback();
  options.max_connections = 1;
  const auto http = serve(options, echo);
  client first(*http);
  first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  first.read_until("GET / .");
  client second(*http);
  EXPECT_EQ(second.read_to_end().substr(0, 12), "HTTP/1.1 503");
  first.send("GET /still HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_NE(first.read_until("GET /still .").find("GET /still ."), std::string::npos);
}

TEST(server, work_beyond_the_queue_gets_503_and_the_rest_is_done) {
  auto options = loopback();
  options.handler_threads = 1;
  options.max_waiting = 1;
  gate held;
  const auto http = serve(options, [&](const request& asked) {
    held.pass();
    return echo(asked);
  });
  client first(*http);
  first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
  held.wait_for(1);
  // Of the next two one waits and one is refused; which one is the server's to choose.
  client second(*http);
  client third(*http);
  second.send("GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  third.send("GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  std::string answers;
  std::mutex mutex;
  std::vector<std::thread> readers;
  for (auto* c : {&second, &third})
    readers.emplace_back([&, c] {
      const auto got = c->read_to_end();
      if (got.substr(0, 12) == "HTTP/1.1 503")
        held.open();
      const std::lock_guard lock(mutex);
      answers += got;
    });
  for (auto& reader : readers)
    reader.join();
  EXPECT_NE(answers.find("HTTP/1.1 503"), std::string::npos);
  EXPECT_NE(answers.find("GET /other ."), std::string::npos);
  EXPECT_NE(first.read_until("GET /first .").find("GET /first ."), std::string::npos);
}

TEST(server, a_handler_that_throws_becomes_a_500) {
  const auto http =
    serve(loopback(), [](const request&) -> response { throw std::runtime_error("boom"); });
  client c(*http);
  c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(c.read_to_end().substr(0, 12), "HTTP/1.1 500");
}

TEST(server, a_client_that_leaves_while_its_request_is_handled_harms_nobody) {
  gate held;
  std::atomic<int> handled{0};
  const auto http = serve(loopback(), [&](const request& asked) {
    if (asked.path == "/slow")
      held.pass();
    ++handled;
    return echo(asked);
  });
  {
    client leaving(*http);
    leaving.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    held.wait_for(1);
  }
  held.open();
  client staying(*http);
  staying.send("GET /fast HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_NE(staying.read_until("GET /fast .").find("200"), std::string::npos);
}

TEST(server, many_clients_at_once_all_get_their_own_answers) {
  const auto http = serve(loopback(), echo);
  std::atomic<int> good{0};
  std::vector<std::thread> crowd;
  for (int i = 0; i < 16; ++i)
    crowd.emplace_back([&, i] {
      client c(*http);
      for (int n = 0; n < 50; ++n) {
        const auto path = "/" + std::to_string(i) + "-" + std::to_string(n);
        c.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
        const auto mark = "GET " + path + " .";
        good += c.read_until(mark).find(mark) != std::string::npos ? 1 : 0;
      }
    });
  for (auto& one : crowd)
    one.join();
  EXPECT_EQ(good, 16 * 50);
}

} // namespace
} // namespace marchproxy::http

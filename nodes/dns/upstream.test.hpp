// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// A name server on loopback, by UDP and TCP, that answers as a test says; and a client's side.

#include "nodes/net/socket.hpp"
#include "nodes/wire/dns_message.hpp"

#include <gtest/gtest.h>

#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

namespace marchproxy::dns::testing {

inline std::string framed(std::string_view message) {
  std::string out(2, '\0');
  wire::put_dns_u16(out, 0, message.size());
  return out.append(message);
}

/// One message by TCP. @return empty: the other side ended the connection
inline std::string read_framed(int fd) {
  std::string in;
  while (in.size() < 2 || in.size() < 2U + wire::dns_u16(in, 0)) {
    const auto wanted = in.size() < 2 ? 2 - in.size() : 2 + wire::dns_u16(in, 0) - in.size();
    std::string more(wanted, '\0');
    const auto size = recv(fd, more.data(), more.size(), 0);
    if (size <= 0)
      return {};
    in.append(more.data(), static_cast<std::size_t>(size));
  }
  return in.substr(2);
}

inline net::unique_fd socket_for(int type) {
  net::unique_fd out{socket(AF_INET, type | SOCK_CLOEXEC, 0)};
  timeval limit{10, 0};
  setsockopt(out.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return out;
}

class name_server {
public:
  /// @return nullopt: no answer
  using answerer = std::function<std::optional<std::string>(const std::string& question, bool tcp)>;

  explicit name_server(answerer answers) : answers_(std::move(answers)) {
    auto listening = net::listen_tcp({*parse_ip("127.0.0.1"), 0}, {.reuse_port = false});
    EXPECT_TRUE(listening);
    tcp_ = std::move(*listening);
    auto bound = net::bind_udp(at());
    EXPECT_TRUE(bound);
    udp_ = std::move(*bound);
    stop_ = net::unique_fd{eventfd(0, EFD_CLOEXEC)};
    thread_ = std::thread{[this] { serve(); }};
  }
  name_server(const name_server&) = delete;
  name_server& operator=(const name_server&) = delete;
  ~name_server() {
    eventfd_write(stop_.get(), 1);
    thread_.join();
  }

  [[nodiscard]] net::endpoint at() const { return net::local_endpoint(tcp_.get()); }
  /// Of questions by UDP: (port, id).
  [[nodiscard]] std::multiset<std::pair<std::uint16_t, std::uint16_t>> seen() const {
    std::lock_guard lock{mutex_};
    return seen_;
  }

private:
  void serve() {
    std::array<pollfd, 3> watched{
      {{stop_.get(), POLLIN, 0}, {udp_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}}};
    while (poll(watched.data(), watched.size(), -1) > 0 && watched[0].revents == 0) {
      if (watched[1].revents != 0)
        by_udp();
      if (watched[2].revents != 0)
        by_tcp();
    }
  }
  void by_udp() {
    std::string in(4096, '\0');
    net::socket_address from;
    from.size = sizeof from.storage;
    const auto size = recvfrom(udp_.get(), in.data(), in.size(), 0, from.get(), &from.size);
    if (size < 12)
      return;
    in.resize(static_cast<std::size_t>(size));
    {
      std::lock_guard lock{mutex_};
      seen_.emplace(net::to_endpoint(from).port, wire::dns_u16(in, 0));
    }
    if (auto answer = answers_(in, false))
      sendto(udp_.get(), answer->data(), answer->size(), 0, from.get(), from.size);
  }
  void by_tcp() {
    net::unique_fd client{accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    const auto question = read_framed(client.get());
    if (question.empty())
      return;
    if (auto answer = answers_(question, true)) {
      const auto bytes = framed(*answer);
      send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
  }

  answerer answers_;
  net::unique_fd tcp_;
  net::unique_fd udp_;
  net::unique_fd stop_;
  mutable std::mutex mutex_;
  std::multiset<std::pair<std::uint16_t, std::uint16_t>> seen_;
  std::thread thread_;
};

/// A client's UDP socket, at an address of loopback.
class udp_client {
public:
  explicit udp_client(const net::endpoint& to, const char* from = "127.0.0.1")
    : fd_(socket_for(SOCK_DGRAM)) {
    const auto own = net::to_socket_address({*parse_ip(from), 0});
    EXPECT_EQ(bind(fd_.get(), own.get(), own.size), 0);
    const auto there = net::to_socket_address(to);
    EXPECT_EQ(connect(fd_.get(), there.get(), there.size), 0);
  }
  void send(std::string_view question) const {
    EXPECT_EQ(::send(fd_.get(), question.data(), question.size(), 0),
              static_cast<ssize_t>(question.size()));
  }
  [[nodiscard]] std::string receive() const {
    std::string in(65536, '\0');
    const auto size = recv(fd_.get(), in.data(), in.size(), 0);
    EXPECT_GE(size, 0) << "no answer";
    in.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return in;
  }
  [[nodiscard]] std::string ask(std::string_view question) const {
    send(question);
    return receive();
  }

private:
  net::unique_fd fd_;
};

inline net::unique_fd connected(const net::endpoint& to, const char* from = "127.0.0.1") {
  auto out = socket_for(SOCK_STREAM);
  const auto own = net::to_socket_address({*parse_ip(from), 0});
  EXPECT_EQ(bind(out.get(), own.get(), own.size), 0);
  const auto there = net::to_socket_address(to);
  EXPECT_EQ(connect(out.get(), there.get(), there.size), 0);
  return out;
}

} // namespace marchproxy::dns::testing

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/datagram.hpp"
#include "nodes/net/datagram_socket.hpp"
#include "nodes/relay/relay_fixture.test.hpp"

#include <poll.h>

#include <deque>

namespace marchproxy::relay::testing {

/// A UDP socket of 127.0.0.1, or another loopback address, whose reads give up after a while.
class udp_peer {
public:
  explicit udp_peer(const char* address = "127.0.0.1", std::uint16_t port = 0) {
    auto made = net::bind_udp({*parse_ip(address), port});
    EXPECT_TRUE(made) << to_string(made.error());
    fd_ = std::move(*made);
    net::widen_receive_buffer(fd_.get(), 4 << 20); // for bursts that no test reads at once
    at = net::local_endpoint(fd_.get());
  }
  void send(const net::endpoint& to, std::string_view bytes) const {
    auto address = net::to_socket_address(to);
    EXPECT_EQ(sendto(fd_.get(), bytes.data(), bytes.size(), 0, address.get(), address.size),
              static_cast<ssize_t>(bytes.size()));
  }
  /// One datagram; none when nothing comes in @p limit.
  std::optional<std::pair<net::endpoint, std::string>>
  receive(std::chrono::milliseconds limit = patience) {
    pollfd wait{fd_.get(), POLLIN, 0};
    if (waiting_.empty() && poll(&wait, 1, static_cast<int>(limit.count())) <= 0)
      return std::nullopt;
    for (const auto& d : reader_.read(fd_.get()))
      waiting_.emplace_back(d.from, d.bytes);
    if (waiting_.empty())
      return std::nullopt;
    auto first = std::move(waiting_.front());
    waiting_.pop_front();
    return first;
  }
  net::endpoint at;

private:
  net::unique_fd fd_;
  net::datagram_reader reader_;
  std::deque<std::pair<net::endpoint, std::string>> waiting_;
};

constexpr auto nothing_comes = 150ms;

} // namespace marchproxy::relay::testing

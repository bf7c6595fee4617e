// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/http/probe.hpp"

#include "nodes/net/socket.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <iostream>

namespace marchproxy::http {

namespace {

constexpr int patience_ms = 5000;

ip_address reachable(const std::string& text) {
  auto address = parse_ip(text).value_or(ip_address::v4(0x7f000001));
  if (address == ip_address::v4(0))
    return ip_address::v4(0x7f000001);
  if (address == ip_address::v6({})) {
    std::array<std::uint8_t, 16> loopback{};
    loopback.back() = 1;
    return ip_address::v6(loopback);
  }
  return address;
}

bool wait_for(int fd, short events) {
  pollfd one{fd, events, 0};
  return ::poll(&one, 1, patience_ms) == 1;
}

} // namespace

int probe_health(const std::string& address, std::uint16_t port) {
  net::endpoint to{reachable(address), port};
  auto fd = net::connect_tcp(to);
  auto failed = [&](const std::string& why) {
    std::cerr << net::to_string(to) << ": " << why << '\n';
    return 1;
  };
  if (!fd)
    return failed(fd.error().message);
  if (!wait_for(fd->get(), POLLOUT) || net::take_error(fd->get()) != 0)
    return failed("no connection");
  auto request =
    "GET /healthz HTTP/1.1\r\nHost: " + net::to_string(to) + "\r\nConnection: close\r\n\r\n";
  if (::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL)
      != static_cast<ssize_t>(request.size()))
    return failed("cannot send");
  std::string answer;
  std::array<char, 4096> buffer{};
  while (wait_for(fd->get(), POLLIN)) {
    auto got = ::recv(fd->get(), buffer.data(), buffer.size(), 0);
    if (got <= 0)
      break;
    answer.append(buffer.data(), static_cast<std::size_t>(got));
  }
  auto body = answer.find("\r\n\r\n");
  if (body == std::string::npos)
    return failed("no answer");
  std::cout << answer.substr(body + 4) << '\n';
  return answer.starts_with("HTTP/1.1 200 ") ? 0 : 1;
}

} // namespace marchproxy::http

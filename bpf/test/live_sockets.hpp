// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// Real sockets for the namespaces of netns_lab. Every wait has a deadline.

#include "actors/base/ip.hpp"
#include "bpf/loader/descriptor.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace marchproxy::tier_ebpf::testing {

using std::chrono::milliseconds;
constexpr milliseconds long_enough{10'000}; ///< for what has to come
constexpr milliseconds refused_after{700};  ///< for what must not come

struct socket_address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

inline socket_address endpoint(std::string_view text, std::uint16_t port) {
  auto ip = *parse_ip(text);
  socket_address out;
  if (ip.family == ip_family::v4) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    std::memcpy(&a.sin_addr, ip.bytes.data(), 4);
    std::memcpy(&out.storage, &a, out.size = sizeof a);
  } else {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(port);
    std::memcpy(&a.sin6_addr, ip.bytes.data(), 16);
    std::memcpy(&out.storage, &a, out.size = sizeof a);
  }
  return out;
}

/// Bound to @p address and a port of the kernel's choice; TCP listens.
inline descriptor open_server(std::string_view address, int type) {
  auto at = endpoint(address, 0);
  descriptor out{::socket(at.storage.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (::bind(out.get(), at.get(), at.size) != 0
      || (type == SOCK_STREAM && ::listen(out.get(), 8) != 0))
    return {};
  return out;
}

inline std::uint16_t port_of(const descriptor& socket) {
  socket_address at;
  at.size = sizeof at.storage;
  ::getsockname(socket.get(), at.get(), &at.size);
  sockaddr_in v4{};
  std::memcpy(&v4, &at.storage, sizeof v4); // the port is at the same place in both families
  return ntohs(v4.sin_port);
}

inline bool ready(const descriptor& socket, short what, milliseconds limit) {
  pollfd p{socket.get(), what, 0};
  return ::poll(&p, 1, static_cast<int>(limit.count())) == 1;
}

/// Connected to @p to; an empty one when that did not work in time. @p problem tells why.
inline descriptor dial(
  std::string_view to, std::uint16_t port, int type, milliseconds limit, int* problem = nullptr) {
  auto at = endpoint(to, port);
  descriptor out{::socket(at.storage.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  int why = 0;
  socklen_t size = sizeof why;
  if (::connect(out.get(), at.get(), at.size) != 0 && errno != EINPROGRESS)
    why = errno;
  else if (!ready(out, POLLOUT, limit))
    why = ETIMEDOUT;
  else
    ::getsockopt(out.get(), SOL_SOCKET, SO_ERROR, &why, &size);
  if (problem != nullptr)
    *problem = why;
  return why == 0 ? std::move(out) : descriptor{};
}

inline descriptor answer(const descriptor& listener) {
  if (!ready(listener, POLLIN, long_enough))
    return {};
  return descriptor{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
}

inline bool say(const descriptor& socket, char what) {
  return ::send(socket.get(), &what, 1, MSG_NOSIGNAL) == 1;
}

/// The next byte; 0 when none comes in time.
inline char hear(const descriptor& socket, milliseconds limit) {
  char out = 0;
  return ready(socket, POLLIN, limit) && ::recv(socket.get(), &out, 1, 0) == 1 ? out : '\0';
}

/// Answers one datagram with its own bytes.
inline bool echo_once(const descriptor& server, milliseconds limit) {
  std::array<char, 64> buffer{};
  socket_address from;
  from.size = sizeof from.storage;
  if (!ready(server, POLLIN, limit))
    return false;
  auto got = ::recvfrom(server.get(), buffer.data(), buffer.size(), 0, from.get(), &from.size);
  return got > 0
         && ::sendto(server.get(), buffer.data(), static_cast<std::size_t>(got), 0, from.get(),
                     from.size)
              == got;
}

/// Whether the connection is reset within @p limit, and nothing comes before.
inline bool was_reset(const descriptor& socket, milliseconds limit) {
  pollfd one{socket.get(), POLLIN, 0};
  char byte = 0;
  return ::poll(&one, 1, static_cast<int>(limit.count())) == 1
         && ::recv(socket.get(), &byte, 1, 0) < 0 && errno == ECONNRESET;
}

} // namespace marchproxy::tier_ebpf::testing

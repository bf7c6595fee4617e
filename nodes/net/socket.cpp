// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/socket.hpp"

#include "nodes/net/socket_broker.hpp"

#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

namespace marchproxy::net {

namespace {

// SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST, whose headers cannot be included beside netinet/in.h.
constexpr int so_original_dst = 80;

errc code_of(int number) noexcept {
  if (number == EADDRINUSE)
    return errc::conflict;
  if (number == EACCES || number == EPERM)
    return errc::forbidden;
  if (number == EADDRNOTAVAIL)
    return errc::invalid_argument;
  return errc::unavailable;
}

tl::unexpected<error> failed(std::string_view what, const endpoint& at) {
  auto number = errno;
  return fail(code_of(number),
              std::string{what} + " " + to_string(at) + ": " + std::strerror(number));
}

void enable(int fd, int level, int option) noexcept {
  int one = 1;
  setsockopt(fd, level, option, &one, sizeof one);
}

int family_of(const endpoint& at) noexcept {
  return at.address.family == ip_family::v4 ? AF_INET : AF_INET6;
}

bool make_transparent(int fd, const endpoint& at) noexcept {
  int one = 1;
  return at.address.family == ip_family::v4
           ? setsockopt(fd, SOL_IP, IP_TRANSPARENT, &one, sizeof one) == 0
           : setsockopt(fd, SOL_IPV6, IPV6_TRANSPARENT, &one, sizeof one) == 0;
}

} // namespace

unique_fd& unique_fd::operator=(unique_fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void unique_fd::reset() noexcept {
  if (fd_ >= 0)
    close(std::exchange(fd_, -1));
}

std::string to_string(const endpoint& at) {
  auto host = to_string(at.address);
  if (at.address.family == ip_family::v6)
    host = "[" + host + "]";
  return host + ":" + std::to_string(at.port);
}

std::optional<endpoint> parse_endpoint(std::string_view text) noexcept {
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return std::nullopt;
  auto host = text.substr(0, colon);
  auto bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed != (host.find(':') != std::string_view::npos))
    return std::nullopt;
  auto address = parse_ip(bracketed ? host.substr(1, host.size() - 2) : host);
  auto digits = text.substr(colon + 1);
  endpoint out;
  auto [next, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (!address || ec != std::errc{} || next != digits.data() + digits.size())
    return std::nullopt;
  out.address = *address;
  return out;
}

socket_address to_socket_address(const endpoint& at) noexcept {
  socket_address out;
  if (at.address.family == ip_family::v4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(at.port);
    std::memcpy(&in.sin_addr, at.address.bytes.data(), 4);
    std::memcpy(&out.storage, &in, sizeof in);
    out.size = sizeof in;
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(at.port);
    std::memcpy(&in.sin6_addr, at.address.bytes.data(), 16);
    std::memcpy(&out.storage, &in, sizeof in);
    out.size = sizeof in;
  }
  return out;
}

endpoint to_endpoint(const socket_address& address) noexcept {
  endpoint out;
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address.storage, sizeof in);
    std::memcpy(out.address.bytes.data(), &in.sin_addr, 4);
    out.port = ntohs(in.sin_port);
  } else if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &address.storage, sizeof in);
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &in.sin6_addr, 16);
    out = {ip_address::v6(bytes), ntohs(in.sin6_port)};
  }
  return out;
}

namespace {

result<unique_fd> open_tcp(const endpoint& at, const listen_options& options) {
  unique_fd fd{socket(family_of(at), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd)
    return failed("listen on", at);
  enable(fd.get(), SOL_SOCKET, SO_REUSEADDR);
  enable(fd.get(), IPPROTO_TCP, TCP_NODELAY); // accepted connections inherit it
  if (options.reuse_port)
    enable(fd.get(), SOL_SOCKET, SO_REUSEPORT);
  if (at.address.family == ip_family::v6)
    enable(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  if (options.transparent && !make_transparent(fd.get(), at))
    return failed("make transparent the listener on", at);
  auto address = to_socket_address(at);
  if (bind(fd.get(), address.get(), address.size) != 0 || listen(fd.get(), options.backlog) != 0)
    return failed("listen on", at);
  return fd;
}

result<unique_fd> open_udp(const endpoint& at, const udp_options& options) {
  unique_fd fd{socket(family_of(at), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd)
    return failed("bind a UDP socket to", at);
  if (options.reuse_port)
    enable(fd.get(), SOL_SOCKET, SO_REUSEPORT);
  if (options.transparent && !make_transparent(fd.get(), at))
    return failed("make transparent the UDP socket on", at);
  if (at.address.family == ip_family::v6)
    enable(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  auto address = to_socket_address(at);
  if (bind(fd.get(), address.get(), address.size) != 0)
    return failed("bind a UDP socket to", at);
  return fd;
}

} // namespace

result<unique_fd> listen_tcp(const endpoint& at, const listen_options& options) {
  auto own = open_tcp(at, options);
  auto* broker = broker_of_sockets();
  return own || own.error().code != errc::forbidden || broker == nullptr
           ? std::move(own)
           : broker->listen_tcp(at, options);
}

result<unique_fd> bind_udp(const endpoint& at, const udp_options& options) {
  auto own = open_udp(at, options);
  auto* broker = broker_of_sockets();
  return own || own.error().code != errc::forbidden || broker == nullptr
           ? std::move(own)
           : broker->bind_udp(at, options);
}

result<unique_fd> connect_udp(const endpoint& to) {
  unique_fd fd{socket(family_of(to), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  auto address = to_socket_address(to);
  if (!fd || connect(fd.get(), address.get(), address.size) != 0)
    return failed("connect a UDP socket to", to);
  return fd;
}

result<unique_fd> connect_tcp(const endpoint& to) {
  unique_fd fd{socket(family_of(to), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd)
    return failed("connect to", to);
  enable(fd.get(), IPPROTO_TCP, TCP_NODELAY);
  auto address = to_socket_address(to);
  if (connect(fd.get(), address.get(), address.size) != 0 && errno != EINPROGRESS)
    return failed("connect to", to);
  return fd;
}

bool is_transparent(int fd) noexcept {
  int yes = 0;
  socklen_t size = sizeof yes;
  auto v4 = local_endpoint(fd).address.family == ip_family::v4;
  return getsockopt(fd, v4 ? SOL_IP : SOL_IPV6, v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &yes, &size)
           == 0
         && yes != 0;
}

bool is_datagram(int fd) noexcept {
  int type = 0;
  socklen_t size = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM;
}

unique_fd duplicate(int fd) noexcept {
  return unique_fd{fcntl(fd, F_DUPFD_CLOEXEC, 0)};
}

accept_result accept_tcp(int listener) noexcept {
  // A connection that was reset while it waited is skipped, not reported as "none": others may wait
  // behind it.
  for (int attempts = 0; attempts < 16; ++attempts) {
    socket_address peer;
    peer.size = sizeof peer.storage;
    unique_fd fd{accept4(listener, peer.get(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (fd) {
      return {accept_state::accepted, {std::move(fd), to_endpoint(peer)}};
    }
    if (errno == EMFILE || errno == ENFILE)
      return {accept_state::out_of_descriptors, {}};
    if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO)
      break;
  }
  return {};
}

int take_error(int fd) noexcept {
  int number = 0;
  socklen_t size = sizeof number;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size) == 0 ? number : errno;
}

endpoint local_endpoint(int fd) noexcept {
  socket_address address;
  address.size = sizeof address.storage;
  return getsockname(fd, address.get(), &address.size) == 0 ? to_endpoint(address) : endpoint{};
}

bool is_own_address(const ip_address& address) {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0)
    return true;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> all{first, freeifaddrs};
  for (const auto* one = first; one != nullptr; one = one->ifa_next) {
    socket_address at;
    if (one->ifa_addr == nullptr)
      continue;
    if (one->ifa_addr->sa_family == AF_INET)
      std::memcpy(&at.storage, one->ifa_addr, sizeof(sockaddr_in));
    else if (one->ifa_addr->sa_family == AF_INET6)
      std::memcpy(&at.storage, one->ifa_addr, sizeof(sockaddr_in6));
    else
      continue;
    if (to_endpoint(at).address == address)
      return true;
  }
  return false;
}

endpoint original_destination(int fd) noexcept {
  auto local = local_endpoint(fd);
  auto v4 = local.address.family == ip_family::v4;
  socket_address before;
  before.size = sizeof before.storage;
  auto known = v4 ? getsockopt(fd, SOL_IP, so_original_dst, before.get(), &before.size)
                  : getsockopt(fd, SOL_IPV6, so_original_dst, before.get(), &before.size);
  return known == 0 ? to_endpoint(before) : local;
}

void reset_on_close(int fd) noexcept {
  linger hard{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

} // namespace marchproxy::net

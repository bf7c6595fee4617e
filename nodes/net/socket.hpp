// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/ip.hpp"

#include <sys/socket.h>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace marchproxy::net {

/// Owns a descriptor.
class unique_fd {
public:
  unique_fd() = default;
  explicit unique_fd(int fd) noexcept : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  unique_fd& operator=(unique_fd&& other) noexcept;
  unique_fd(const unique_fd&) = delete;
  unique_fd& operator=(const unique_fd&) = delete;
  ~unique_fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept;

private:
  int fd_ = -1;
};

struct endpoint {
  ip_address address;
  std::uint16_t port = 0;

  auto operator<=>(const endpoint&) const = default;
};

/// `10.0.0.1:80`, `[::1]:80`.
[[nodiscard]] std::string to_string(const endpoint& at);
/// Inverse of to_string.
[[nodiscard]] std::optional<endpoint> parse_endpoint(std::string_view text) noexcept;

/// An endpoint as the kernel takes it.
struct socket_address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] const sockaddr* get() const noexcept {
    return reinterpret_cast<const sockaddr*>(&storage);
  }
  [[nodiscard]] sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
};
[[nodiscard]] socket_address to_socket_address(const endpoint& at) noexcept;
/// The unspecified endpoint for a family that is neither IPv4 nor IPv6.
[[nodiscard]] endpoint to_endpoint(const socket_address& address) noexcept;

struct listen_options {
  int backlog = 4096;
  bool reuse_port = true;   ///< several sockets, one for each worker, share the port
  bool transparent = false; ///< also takes what TPROXY diverts to it, whatever its destination
};

/// A non-blocking, close-on-exec listener. An IPv6 one takes IPv6 only.
/// @errors conflict when the port is taken; forbidden without the privilege (CAP_NET_ADMIN for a
/// transparent one) where nobody opens it for us (socket_broker.hpp); invalid_argument when
/// the address is not
///         ours; unavailable otherwise
[[nodiscard]] result<unique_fd> listen_tcp(const endpoint& at, const listen_options& options = {});

struct udp_options {
  bool reuse_port = false;  ///< several sockets, one for each worker, share the port
  bool transparent = false; ///< may have an address that is not ours, and takes what TPROXY diverts
};

/// A non-blocking, close-on-exec UDP socket. An IPv6 one takes IPv6 only.
/// @errors as listen_tcp
[[nodiscard]] result<unique_fd> bind_udp(const endpoint& at, const udp_options& options = {});

/// A non-blocking, close-on-exec UDP socket that sends to @p to and receives from there only.
/// @errors unavailable with the kernel's reason
[[nodiscard]] result<unique_fd> connect_udp(const endpoint& to);

/// Begins to connect; writable (or an error) says that it ended, take_error() how.
/// @errors unavailable with the kernel's reason
[[nodiscard]] result<unique_fd> connect_tcp(const endpoint& to);

struct accepted {
  unique_fd fd; ///< non-blocking, TCP_NODELAY
  endpoint peer;
};
/// What accept_tcp() found.
enum class accept_state : std::uint8_t { accepted, none, out_of_descriptors };
struct accept_result {
  accept_state state = accept_state::none;
  accepted connection;
};
[[nodiscard]] accept_result accept_tcp(int listener) noexcept;

/// SO_ERROR as an errno value, cleared.
[[nodiscard]] int take_error(int fd) noexcept;
[[nodiscard]] endpoint local_endpoint(int fd) noexcept;
/// Whether an interface of this machine has @p address; also when that cannot be told. Asks the
/// kernel for all addresses: a few system calls.
[[nodiscard]] bool is_own_address(const ip_address& address);
/// Whether it takes what TPROXY diverts (listen_options::transparent).
[[nodiscard]] bool is_transparent(int fd) noexcept;
/// Whether it is a UDP socket.
[[nodiscard]] bool is_datagram(int fd) noexcept;
/// Another descriptor of the same socket; none when there is no room for it.
[[nodiscard]] unique_fd duplicate(int fd) noexcept;
/// Where the client of an accepted connection meant to go: the destination before a NAT REDIRECT
/// (SO_ORIGINAL_DST), else the local end, which with TPROXY is that destination.
[[nodiscard]] endpoint original_destination(int fd) noexcept;
/// The next close() of @p fd sends a reset: what the other side's reset becomes on this one.
void reset_on_close(int fd) noexcept;

} // namespace marchproxy::net

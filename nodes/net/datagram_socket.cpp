// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/datagram_socket.hpp"

#include "nodes/net/socket.hpp"
#include "nodes/net/socket_broker.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>

namespace marchproxy::net {

namespace {

bool set(int fd, int level, int option, int value) noexcept {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

bool is_v4(int fd) noexcept {
  return local_endpoint(fd).address.family == ip_family::v4;
}

} // namespace

udp_offload probe_udp_offload() noexcept {
  unique_fd fd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  return {.send = set(fd.get(), SOL_UDP, UDP_SEGMENT, 512),
          .receive = set(fd.get(), SOL_UDP, UDP_GRO, 1)};
}

void join_segments(int fd) noexcept {
  set(fd, SOL_UDP, UDP_GRO, 1);
}

void tell_destination(int fd) noexcept {
  is_v4(fd) ? set(fd, SOL_IP, IP_PKTINFO, 1) : set(fd, SOL_IPV6, IPV6_RECVPKTINFO, 1);
}

void tell_original_destination(int fd) noexcept {
  is_v4(fd) ? set(fd, SOL_IP, IP_RECVORIGDSTADDR, 1) : set(fd, SOL_IPV6, IPV6_RECVORIGDSTADDR, 1);
}

void widen_receive_buffer(int fd, std::size_t bytes, widening how) noexcept {
  // The kernel doubles it, for what it needs beside the bytes. Past rmem_max only CAP_NET_ADMIN
  // gets.
  auto value = static_cast<int>(bytes);
  if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, value))
    return;
  set(fd, SOL_SOCKET, SO_RCVBUF, value);
  if (auto* broker = broker_of_sockets(); broker != nullptr && how == widening::by_broker)
    static_cast<void>(broker->widen_receive_buffer(fd, bytes)); // then what there is has to do
}

} // namespace marchproxy::net

// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/net/datagram.hpp"

#include "actors/base/error.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace marchproxy::net {

namespace {

template <class Value>
Value value_of(const cmsghdr& c) noexcept {
  Value out{};
  std::memcpy(&out, CMSG_DATA(&c), sizeof out);
  return out;
}

template <class Address>
endpoint endpoint_of(const cmsghdr& c) noexcept {
  socket_address out;
  auto address = value_of<Address>(c);
  std::memcpy(&out.storage, &address, sizeof address);
  return to_endpoint(out);
}

/// What stands beside a datagram: its destination, and how the kernel joined it.
void read_control(const msghdr& m, datagram& d) noexcept {
  for (const auto* c = CMSG_FIRSTHDR(&m); c != nullptr;
       c = CMSG_NXTHDR(const_cast<msghdr*>(&m), const_cast<cmsghdr*>(c))) {
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      auto size = value_of<int>(*c);
      if (size > 0 && static_cast<std::size_t>(size) < d.bytes.size())
        d.segment = static_cast<std::uint16_t>(size);
    } else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
      auto info = value_of<in_pktinfo>(*c);
      std::memcpy(d.to.address.bytes.data(), &info.ipi_spec_dst, 4);
    } else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_ORIGDSTADDR) {
      d.to = endpoint_of<sockaddr_in>(*c);
    } else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      auto info = value_of<in6_pktinfo>(*c);
      std::array<std::uint8_t, 16> bytes{};
      std::memcpy(bytes.data(), &info.ipi6_addr, bytes.size());
      d.to.address = ip_address::v6(bytes);
    } else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR) {
      d.to = endpoint_of<sockaddr_in6>(*c);
    }
  }
}

} // namespace

datagram_reader::datagram_reader()
  : bytes_(std::make_unique_for_overwrite<char[]>(datagram_batch * stride)) {
  for (std::size_t i = 0; i < datagram_batch; ++i) {
    parts_[i] = {bytes_.get() + i * stride, room};
    messages_[i].msg_hdr.msg_iov = &parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_name = from_[i].get();
    messages_[i].msg_hdr.msg_control = control_[i].data();
    reset(i);
  }
}

void datagram_reader::reset(std::size_t i) noexcept {
  messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
  messages_[i].msg_hdr.msg_controllen = max_control;
}

std::span<const datagram> datagram_reader::read(int fd, std::size_t most) noexcept {
  for (std::size_t i = 0; i < used_; ++i)
    reset(i);
  used_ = 0;
  error_ = 0;
  const auto count = static_cast<unsigned>(std::min(most, datagram_batch));
  auto n = recvmmsg(fd, messages_.data(), count, MSG_DONTWAIT, nullptr);
  // An ICMP error about something sent earlier is reported once and says nothing about the rest.
  if (n < 0 && errno != EAGAIN && errno != EINTR) {
    error_ = errno;
    n = recvmmsg(fd, messages_.data(), count, MSG_DONTWAIT, nullptr);
  }
  used_ = static_cast<std::size_t>(std::max(n, 0));
  for (std::size_t i = 0; i < used_; ++i) {
    auto& d = received_[i];
    d = {.from = to_endpoint(from_[i]),
         .to = {},
         .bytes = {bytes_.get() + i * stride, messages_[i].msg_len}};
    if (messages_[i].msg_hdr.msg_controllen != 0)
      read_control(messages_[i].msg_hdr, d);
  }
  return {received_.data(), used_};
}

void datagram_writer::add(const endpoint& to,
                          std::string_view head,
                          std::string_view bytes) noexcept {
  MP_INVARIANT(count_ < datagram_batch && head.size() <= max_head);
  auto i = count_++;
  to_[i] = to_socket_address(to);
  std::copy(head.begin(), head.end(), heads_[i].begin());
  parts_[i] = {{{heads_[i].data(), head.size()},
                {const_cast<char*>(bytes.data()), bytes.size()}}}; // sendmmsg only reads
  auto& m = messages_[i].msg_hdr;
  m = {};
  m.msg_name = to_[i].get();
  m.msg_namelen = to_[i].size;
  m.msg_iov = parts_[i].data();
  m.msg_iovlen = parts_[i].size();
}

std::size_t datagram_writer::send(int fd) noexcept {
  std::size_t taken = 0;
  for (std::size_t next = 0; next < count_;) {
    auto n =
      sendmmsg(fd, messages_.data() + next, static_cast<unsigned>(count_ - next), MSG_DONTWAIT);
    if (n > 0) {
      taken += static_cast<std::size_t>(n);
      next += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      ++next; // this one has no way; the others may have
    }
  }
  count_ = 0;
  return taken;
}

} // namespace marchproxy::net

// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/net/datagram.hpp"

#include "actors/base/error.hpp"

#include <algorithm>
#include <cerrno>

namespace marchproxy::net {

datagram_reader::datagram_reader()
  : bytes_(std::make_unique_for_overwrite<char[]>(datagram_batch * room)) {
  for (std::size_t i = 0; i < datagram_batch; ++i) {
    parts_[i] = {bytes_.get() + i * room, room};
    messages_[i].msg_hdr.msg_iov = &parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_name = from_[i].get();
  }
}

std::span<const datagram> datagram_reader::read(int fd) noexcept {
  for (auto& m : messages_)
    m.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
  auto n = recvmmsg(fd, messages_.data(), datagram_batch, MSG_DONTWAIT, nullptr);
  // An ICMP error about something sent earlier is reported once and says nothing about the rest.
  if (n < 0 && errno != EAGAIN && errno != EINTR)
    n = recvmmsg(fd, messages_.data(), datagram_batch, MSG_DONTWAIT, nullptr);
  auto count = static_cast<std::size_t>(std::max(n, 0));
  for (std::size_t i = 0; i < count; ++i)
    received_[i] = {to_endpoint(from_[i]), {bytes_.get() + i * room, messages_[i].msg_len}};
  return {received_.data(), count};
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

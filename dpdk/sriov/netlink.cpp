// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/netlink.hpp"

#include <libmnl/libmnl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace marchproxy::sriov {

namespace {

constexpr timeval patience{10, 0};
constexpr std::size_t longest_answer = std::size_t{256} * 1024; // cards with hundreds of functions

tl::unexpected<error> failed(int number) {
  if (number == EAGAIN)
    return fail(errc::timeout, "netlink: no answer of the kernel");
  return fail(errc::unavailable, std::string{"netlink: "} + std::strerror(number));
}

/// What the answers to one request said.
struct answer {
  message messages;
  bool done = false;
  int problem = 0; ///< an errno
};

void take(answer& into, const nlmsghdr& head, unsigned sequence, std::span<const std::byte> all) {
  if (head.nlmsg_seq != sequence)
    return;
  if (head.nlmsg_type == NLMSG_ERROR || head.nlmsg_type == NLMSG_DONE) {
    int number = 0;
    if (all.size() >= NLMSG_HDRLEN + sizeof number)
      std::memcpy(&number, all.data() + NLMSG_HDRLEN, sizeof number);
    into.done = true;
    into.problem = -number;
    return;
  }
  into.messages.insert(into.messages.end(), all.begin(), all.end());
  into.messages.resize(NLMSG_ALIGN(into.messages.size()));
  // Neither a dump nor followed by an acknowledgement: one message is the whole answer.
  into.done = into.done || (head.nlmsg_flags & NLM_F_MULTI) == 0;
}

} // namespace

result<std::unique_ptr<kernel_netlink>> kernel_netlink::open() {
  auto* socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
  if (socket == nullptr)
    return failed(errno);
  std::unique_ptr<kernel_netlink> out{new kernel_netlink{socket}};
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0
      || ::setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &patience,
                      sizeof patience)
           != 0)
    return failed(errno);
  return out;
}

kernel_netlink::~kernel_netlink() {
  mnl_socket_close(socket_);
}

result<message> kernel_netlink::ask(std::span<const std::byte> request) {
  message numbered{request.begin(), request.end()};
  if (numbered.size() < sizeof(nlmsghdr))
    return fail(errc::invalid_argument, "netlink: no request");
  ++sequence_;
  std::memcpy(numbered.data() + offsetof(nlmsghdr, nlmsg_seq), &sequence_, sizeof sequence_);
  if (mnl_socket_sendto(socket_, numbered.data(), numbered.size()) < 0)
    return failed(errno);
  answer out;
  message buffer(longest_answer);
  while (!out.done) {
    const auto got = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return failed(errno);
    auto left = static_cast<int>(got);
    for (const auto* head = reinterpret_cast<const nlmsghdr*>(buffer.data());
         mnl_nlmsg_ok(head, left); head = mnl_nlmsg_next(head, &left))
      take(out, *head, sequence_,
           {reinterpret_cast<const std::byte*>(head), std::size_t{head->nlmsg_len}});
  }
  if (out.problem != 0)
    return fail(errc::refused, std::strerror(out.problem));
  return std::move(out.messages);
}

} // namespace marchproxy::sriov

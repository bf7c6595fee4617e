// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/netlink.hpp"

#include <sys/socket.h>

#include <vector>

namespace marchproxy::tier_ebpf::netlink {

namespace {

constexpr std::size_t longest_answer = 32'768; // the kernel sends no more at once

} // namespace

socket_handle open(int family) {
  socket_handle out{mnl_socket_open2(family, SOCK_CLOEXEC)};
  if (out && mnl_socket_bind(out.get(), 0, MNL_SOCKET_AUTOPID) < 0)
    out.reset();
  return out;
}

bool ask(mnl_socket* socket, nlmsghdr* request, mnl_cb_t handle, void* to) {
  request->nlmsg_flags |= NLM_F_REQUEST;
  request->nlmsg_seq = 1;
  if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
    return false;
  std::vector<char> answer(longest_answer);
  for (;;) {
    auto size = mnl_socket_recvfrom(socket, answer.data(), answer.size());
    if (size < 0)
      return false;
    auto more = mnl_cb_run(answer.data(), static_cast<std::size_t>(size), 1,
                           mnl_socket_get_portid(socket), handle, to);
    if (more <= MNL_CB_STOP)
      return more == MNL_CB_STOP;
  }
}

} // namespace marchproxy::tier_ebpf::netlink

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <libmnl/libmnl.h>

#include <cstddef>
#include <memory>

namespace marchproxy::tier_ebpf::netlink {

constexpr std::size_t longest_request = 256;

struct close_socket {
  void operator()(mnl_socket* s) const noexcept { mnl_socket_close(s); }
};
using socket_handle = std::unique_ptr<mnl_socket, close_socket>;

/// @param family  NETLINK_ROUTE or another
/// @return null, with errno, when there is none
[[nodiscard]] socket_handle open(int family);

/// Sends a request and has each message of the answer handled, until the last of a dump or until
/// @p handle returns MNL_CB_STOP.
/// @return false, with errno, when it was refused
[[nodiscard]] bool ask(mnl_socket* socket, nlmsghdr* request, mnl_cb_t handle, void* to);

} // namespace marchproxy::tier_ebpf::netlink

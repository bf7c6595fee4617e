// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/forwarding/netlink.hpp"

#include "dpdk/forwarding/message.hpp"

#include <linux/neighbour.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <string>
#include <vector>

namespace marchproxy::forwarding {

namespace {

using tier_ebpf::descriptor;

constexpr std::size_t receive_size =
  std::size_t{256} * 1024; // the kernel makes messages of up to 32 KiB here

tl::unexpected<error> failed(const char* what, int number = errno) {
  return fail(errc::unavailable, std::string{"netlink, "} + what + ": " + std::strerror(number));
}

result<descriptor> open_socket(std::uint32_t groups) {
  descriptor out{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
  sockaddr_nl at{};
  at.nl_family = AF_NETLINK;
  at.nl_groups = groups;
  timeval limit{5, 0};
  if (!out || ::bind(out.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0
      || ::setsockopt(out.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
    return failed("socket");
  return out;
}

struct request {
  std::uint16_t type;
  std::uint8_t family;
  const char* what;
};

/// One dump. Whatever is changed while it runs is heard of by change_watch, and read again.
result<void> dump(const descriptor& socket,
                  const request& r,
                  std::vector<std::byte>& buffer,
                  kernel_view& into) {
  struct {
    nlmsghdr head;
    rtmsg body; // as large as any fixed part that a dump's request needs
  } ask{};
  ask.head.nlmsg_len = sizeof ask;
  ask.head.nlmsg_type = r.type;
  ask.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  ask.body.rtm_family = r.family;
  if (::send(socket.get(), &ask, sizeof ask, 0) != sizeof ask)
    return failed(r.what);
  int problem = 0;
  for (bool done = false; !done;) {
    auto got = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return failed(r.what);
    std::span<const std::byte> all{buffer.data(), static_cast<std::size_t>(got)};
    each_message(all, [&](const nlmsghdr& head, std::span<const std::byte> message) {
      if (head.nlmsg_type == NLMSG_DONE || head.nlmsg_type == NLMSG_ERROR) {
        done = true;
        problem = front<int>(message.subspan(NLMSG_HDRLEN)).value_or(0);
      } else {
        add_message(into, message);
      }
    });
  }
  return problem == 0 ? result<void>{} : failed(r.what, -problem);
}

bool is_on(const char* path) {
  std::ifstream file{path};
  return file.get() == '1';
}

} // namespace

result<kernel_view> read_kernel() {
  constexpr std::array<request, 7> requests{{{RTM_GETLINK, AF_UNSPEC, "links"},
                                             {RTM_GETROUTE, AF_INET, "IPv4 routes"},
                                             {RTM_GETROUTE, AF_INET6, "IPv6 routes"},
                                             {RTM_GETNEIGH, AF_INET, "IPv4 neighbours"},
                                             {RTM_GETNEIGH, AF_INET6, "IPv6 neighbours"},
                                             {RTM_GETRULE, AF_INET, "IPv4 rules"},
                                             {RTM_GETRULE, AF_INET6, "IPv6 rules"}}};
  auto socket = open_socket(0);
  if (!socket)
    return tl::unexpected(socket.error());
  kernel_view out;
  std::vector<std::byte> buffer(receive_size);
  for (const auto& r : requests)
    if (auto ok = dump(*socket, r, buffer, out); !ok)
      return tl::unexpected(ok.error());
  out.routes4 = is_on("/proc/sys/net/ipv4/ip_forward");
  out.routes6 = is_on("/proc/sys/net/ipv6/conf/all/forwarding");
  return out;
}

result<change_watch> change_watch::open() {
  auto group = [](unsigned number) { return 1U << (number - 1); };
  auto socket =
    open_socket(group(RTNLGRP_LINK) | group(RTNLGRP_NEIGH) | group(RTNLGRP_IPV4_IFADDR)
                | group(RTNLGRP_IPV4_ROUTE) | group(RTNLGRP_IPV4_RULE) | group(RTNLGRP_IPV6_IFADDR)
                | group(RTNLGRP_IPV6_ROUTE) | group(RTNLGRP_IPV6_RULE) | group(RTNLGRP_IPV4_NETCONF)
                | group(RTNLGRP_IPV6_NETCONF));
  if (!socket)
    return tl::unexpected(socket.error());
  return change_watch{std::move(*socket)};
}

bool change_watch::drain() noexcept {
  bool any = false;
  std::array<std::byte, 8192> buffer{};
  for (;;) {
    auto got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0 && errno != ENOBUFS)
      return any;
    any = true;
  }
}

result<void> confirm_stale(const kernel_view& view, std::span<const int> of) {
  auto socket = open_socket(0);
  if (!socket)
    return tl::unexpected(socket.error());
  for (const auto& n : view.neighbours) {
    if (!n.stale || std::find(of.begin(), of.end(), n.ifindex) == of.end())
      continue;
    struct {
      nlmsghdr head;
      ndmsg body;
      rtattr attribute;
      std::array<std::uint8_t, 16> address;
    } ask{};
    auto size = n.address.width() / 8;
    ask.head.nlmsg_len = static_cast<std::uint32_t>(offsetof(decltype(ask), address) + size);
    ask.head.nlmsg_type = RTM_NEWNEIGH;
    ask.head.nlmsg_flags = NLM_F_REQUEST;
    ask.body.ndm_family = n.address.family == ip_family::v4 ? AF_INET : AF_INET6;
    ask.body.ndm_ifindex = n.ifindex;
    ask.body.ndm_flags = NTF_USE;
    ask.attribute = {static_cast<std::uint16_t>(sizeof(rtattr) + size), NDA_DST};
    ask.address = n.address.bytes;
    if (::send(socket->get(), &ask, ask.head.nlmsg_len, 0) < 0)
      return failed("confirming a neighbour");
  }
  return {};
}

} // namespace marchproxy::forwarding

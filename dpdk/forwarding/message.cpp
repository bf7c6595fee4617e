// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/forwarding/message.hpp"

#include "dpdk/forwarding/netlink.hpp"

#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace marchproxy::forwarding {

namespace {

using bytes = std::span<const std::byte>;

std::optional<ip_address> address_of(int family, bytes payload) {
  std::array<std::uint8_t, 16> raw{};
  std::size_t size = family == AF_INET ? 4 : 16;
  if ((family != AF_INET && family != AF_INET6) || payload.size() < size)
    return std::nullopt;
  std::memcpy(raw.data(), payload.data(), size);
  if (family == AF_INET6)
    return ip_address::v6(raw);
  ip_address out;
  out.bytes = raw;
  return out;
}

/// What follows the fixed part of type T in a message.
template <class T>
bytes attributes(bytes message) {
  std::size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(T));
  return at < message.size() ? message.subspan(at) : bytes{};
}

void add_link(kernel_view& into, const ifinfomsg& head, bytes more) {
  if (head.ifi_type != ARPHRD_ETHER || (head.ifi_flags & IFF_UP) == 0)
    return;
  link l;
  l.ifindex = head.ifi_index;
  each_attribute(more, [&](unsigned type, bytes payload) {
    if (type == IFLA_IFNAME && !payload.empty())
      l.name.assign(reinterpret_cast<const char*>(payload.data()), payload.size() - 1);
    else if (type == IFLA_ADDRESS)
      l.address = front<mac_address>(payload).value_or(mac_address{});
    else if (type == IFLA_MTU)
      l.mtu = front<std::uint32_t>(payload).value_or(0);
  });
  into.links.push_back(std::move(l));
}

void add_neighbour(kernel_view& into, const ndmsg& head, bytes more) {
  constexpr unsigned usable =
    NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;
  if ((head.ndm_state & usable) == 0 || (head.ndm_flags & NTF_PROXY) != 0)
    return;
  std::optional<ip_address> address;
  std::optional<mac_address> hardware;
  each_attribute(more, [&](unsigned type, bytes payload) {
    if (type == NDA_DST)
      address = address_of(head.ndm_family, payload);
    else if (type == NDA_LLADDR && payload.size() == sizeof(mac_address))
      hardware = front<mac_address>(payload);
  });
  if (address && hardware)
    into.neighbours.push_back(
      {head.ndm_ifindex, *address, *hardware, (head.ndm_state & NUD_STALE) != 0});
}

/// What the attributes of a route say.
struct route_parts {
  std::uint32_t table = 0;
  std::uint32_t metric = 0;
  std::optional<ip_address> to;
  std::optional<int> ifindex;
  std::optional<ip_address> gateway;
  bool plain = true; ///< one next hop, of the same family
};

route_parts read_route(const rtmsg& head, bytes more) {
  route_parts out;
  out.table = head.rtm_table;
  each_attribute(more, [&](unsigned type, bytes payload) {
    if (type == RTA_TABLE)
      out.table = front<std::uint32_t>(payload).value_or(0);
    else if (type == RTA_DST)
      out.to = address_of(head.rtm_family, payload);
    else if (type == RTA_OIF)
      out.ifindex = front<int>(payload);
    else if (type == RTA_GATEWAY)
      out.gateway = address_of(head.rtm_family, payload);
    else if (type == RTA_PRIORITY)
      out.metric = front<std::uint32_t>(payload).value_or(0);
    else if (type == RTA_MULTIPATH || type == RTA_VIA || type == RTA_ENCAP)
      out.plain = false;
  });
  return out;
}

void add_own(kernel_view& into, const rtmsg& head, const route_parts& parts) {
  auto own =
    head.rtm_type == RTN_LOCAL || head.rtm_type == RTN_BROADCAST || head.rtm_type == RTN_ANYCAST;
  if (own && parts.to && head.rtm_dst_len == parts.to->width())
    into.own.push_back(*parts.to);
}

void add_main_route(kernel_view& into, const rtmsg& head, const route_parts& parts) {
  auto to = parts.to.value_or(head.rtm_family == AF_INET ? ip_address::v4(0) : ip_address::v6({}));
  // ip_address holds ::ffff:a.b.c.d as IPv4; such IPv6 routes lead to no packet that is forwarded.
  if (head.rtm_dst_len > to.width() || (head.rtm_family == AF_INET6 && to.width() == 32))
    return;
  route r{make_prefix(to, head.rtm_dst_len), parts.metric, std::nullopt, std::nullopt};
  // Source routes, types of service, and route types that refuse: the kernel's business.
  if (parts.plain && head.rtm_type == RTN_UNICAST && head.rtm_tos == 0 && head.rtm_src_len == 0) {
    r.ifindex = parts.ifindex;
    r.gateway = parts.gateway;
  }
  into.routes.push_back(r);
}

void add_route(kernel_view& into, const rtmsg& head, bytes more) {
  if ((head.rtm_flags & RTM_F_CLONED) != 0
      || (head.rtm_family != AF_INET && head.rtm_family != AF_INET6))
    return;
  auto parts = read_route(head, more);
  if (parts.table == RT_TABLE_LOCAL)
    add_own(into, head, parts);
  else if (parts.table == RT_TABLE_MAIN)
    add_main_route(into, head, parts);
}

void add_rule(kernel_view& into, const fib_rule_hdr& head, bytes more) {
  constexpr std::uint32_t nothing = 0xffff'ffffU;
  std::uint32_t table = head.table;
  bool selects = head.dst_len != 0 || head.src_len != 0 || head.tos != 0
                 || head.action != FR_ACT_TO_TBL || (head.flags & FIB_RULE_INVERT) != 0;
  each_attribute(more, [&](unsigned type, bytes payload) {
    auto number = front<std::uint32_t>(payload);
    if (type == FRA_TABLE)
      table = number.value_or(0);
    else if (type == FRA_SUPPRESS_PREFIXLEN)
      selects = selects || number != nothing;
    else if (type != FRA_PRIORITY && type != FRA_PROTOCOL)
      selects = true;
  });
  if (selects || (table != RT_TABLE_LOCAL && table != RT_TABLE_MAIN && table != RT_TABLE_DEFAULT))
    into.policy_routing = true;
}

} // namespace

void add_message(kernel_view& into, bytes message) {
  auto head = front<nlmsghdr>(message);
  if (!head || message.size() < NLMSG_HDRLEN)
    return;
  auto rest = message.subspan(NLMSG_HDRLEN);
  auto with = [&]<class T>(T, auto add) {
    if (auto fixed = front<T>(rest))
      add(into, *fixed, attributes<T>(message));
  };
  switch (head->nlmsg_type) {
  case RTM_NEWLINK:
    return with(ifinfomsg{}, add_link);
  case RTM_NEWNEIGH:
    return with(ndmsg{}, add_neighbour);
  case RTM_NEWROUTE:
    return with(rtmsg{}, add_route);
  case RTM_NEWRULE:
    return with(fib_rule_hdr{}, add_rule);
  default: // of a number
    return;
  }
}

} // namespace marchproxy::forwarding

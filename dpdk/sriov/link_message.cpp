// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/link_message.hpp"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

namespace marchproxy::sriov {

namespace {

using bytes = std::span<const std::byte>;

/// Room for the largest request.
struct request {
  alignas(nlmsghdr) std::array<std::byte, 256> room{};
  nlmsghdr* head = mnl_nlmsg_put_header(room.data());

  template <class T>
  T* fixed(std::uint16_t type, std::uint16_t flags) {
    head->nlmsg_type = type;
    head->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    return static_cast<T*>(mnl_nlmsg_put_extra_header(head, sizeof(T)));
  }
  template <class T>
  void put(std::uint16_t type, const T& value) {
    mnl_attr_put(head, type, sizeof value, &value);
  }
  [[nodiscard]] message taken() const { return {room.data(), room.data() + head->nlmsg_len}; }
};

struct put_setting {
  request& to;
  unsigned vf;

  void operator()(const mac_address& mac) const {
    ifla_vf_mac out{vf, {}};
    std::copy(mac.begin(), mac.end(), out.mac);
    to.put(IFLA_VF_MAC, out);
  }
  void operator()(const vlan_tag& vlan) const {
    to.put(IFLA_VF_VLAN, ifla_vf_vlan{vf, vlan.id, vlan.priority});
  }
  void operator()(spoof_check_value check) const {
    to.put(IFLA_VF_SPOOFCHK, ifla_vf_spoofchk{vf, check.on ? 1U : 0U});
  }
  void operator()(trust_value trust) const {
    to.put(IFLA_VF_TRUST, ifla_vf_trust{vf, trust.on ? 1U : 0U});
  }
  void operator()(link_state state) const {
    to.put(IFLA_VF_LINK_STATE, ifla_vf_link_state{vf, static_cast<std::uint32_t>(state)});
  }
};

/// A structure copied from the front of @p from; none when they are too few.
template <class T>
std::optional<T> front(bytes from) {
  T out{};
  if (from.size() < sizeof out)
    return std::nullopt;
  std::memcpy(&out, from.data(), sizeof out);
  return out;
}

/// Calls @p with for each attribute, as (type, payload); ends where a length lies.
template <class With>
void each_attribute(bytes from, With with) {
  while (auto head = front<nlattr>(from)) {
    if (head->nla_len < sizeof *head || head->nla_len > from.size())
      return;
    with(head->nla_type & NLA_TYPE_MASK, from.subspan(sizeof *head, head->nla_len - sizeof *head));
    const auto step = static_cast<std::size_t>(NLA_ALIGN(head->nla_len));
    if (step >= from.size())
      return;
    from = from.subspan(step);
  }
}

/// Calls @p with for each message of @p type, as (its fixed part, its attributes).
template <class T, class With>
void each_message(bytes from, std::uint16_t type, With with) {
  while (auto head = front<nlmsghdr>(from)) {
    if (head->nlmsg_len < sizeof *head || head->nlmsg_len > from.size())
      return;
    const auto body = from.subspan(sizeof *head, head->nlmsg_len - sizeof *head);
    if (head->nlmsg_type == type)
      if (auto fixed = front<T>(body))
        with(*fixed, body.subspan(std::min(body.size(), std::size_t{NLMSG_ALIGN(sizeof(T))})));
    const std::size_t step = NLMSG_ALIGN(head->nlmsg_len);
    if (step >= from.size())
      return;
    from = from.subspan(step);
  }
}

/// Of a switch that drivers without it tell as all ones.
std::optional<bool> on_or_off(std::uint32_t value) {
  return value > 1 ? std::nullopt : std::optional{value == 1};
}

void take_setting(int type, bytes payload, std::map<unsigned, vf_settings>& out) {
  if (type == IFLA_VF_MAC) {
    if (auto v = front<ifla_vf_mac>(payload)) {
      mac_address mac{};
      std::copy_n(v->mac, mac.size(), mac.begin());
      out[v->vf].mac = mac;
    }
  } else if (type == IFLA_VF_VLAN) {
    if (auto v = front<ifla_vf_vlan>(payload); v && v->vlan < 4096 && v->qos < 8)
      out[v->vf].vlan =
        vlan_tag{static_cast<std::uint16_t>(v->vlan), static_cast<std::uint8_t>(v->qos)};
  } else if (type == IFLA_VF_SPOOFCHK) {
    if (auto v = front<ifla_vf_spoofchk>(payload))
      out[v->vf].spoof_check = on_or_off(v->setting);
  } else if (type == IFLA_VF_TRUST) {
    if (auto v = front<ifla_vf_trust>(payload))
      out[v->vf].trust = on_or_off(v->setting);
  } else if (type == IFLA_VF_LINK_STATE) {
    if (auto v = front<ifla_vf_link_state>(payload);
        v && v->link_state <= IFLA_VF_LINK_STATE_DISABLE)
      out[v->vf].state = static_cast<link_state>(v->link_state);
  }
}

std::optional<ip_address> address_of(unsigned family, bytes payload) {
  std::array<std::uint8_t, 16> raw{};
  const std::size_t size = family == AF_INET ? 4 : 16;
  if ((family != AF_INET && family != AF_INET6) || payload.size() < size)
    return std::nullopt;
  std::memcpy(raw.data(), payload.data(), size);
  if (family == AF_INET6)
    return ip_address::v6(raw);
  ip_address out;
  out.bytes = raw;
  return out;
}

void take_hops(bytes hops, std::set<int>& out) {
  while (auto hop = front<rtnexthop>(hops)) {
    if (hop->rtnh_len < sizeof *hop || hop->rtnh_len > hops.size())
      return;
    out.insert(hop->rtnh_ifindex);
    const std::size_t step = RTNH_ALIGN(hop->rtnh_len);
    if (step >= hops.size())
      return;
    hops = hops.subspan(step);
  }
}

} // namespace

message set_vf(int interface, unsigned vf, const vf_setting& to) {
  request out;
  // iproute2 sends RTM_NEWLINK too: without NLM_F_CREATE it changes what is there.
  out.fixed<ifinfomsg>(RTM_NEWLINK, NLM_F_ACK)->ifi_index = interface;
  auto* all = mnl_attr_nest_start(out.head, IFLA_VFINFO_LIST);
  auto* one = mnl_attr_nest_start(out.head, IFLA_VF_INFO);
  // Without NLA_F_NESTED, as iproute2 has it: the kernel reads VF lists the old way.
  all->nla_type = IFLA_VFINFO_LIST;
  one->nla_type = IFLA_VF_INFO;
  std::visit(put_setting{out, vf}, to);
  mnl_attr_nest_end(out.head, one);
  mnl_attr_nest_end(out.head, all);
  return out.taken();
}

message get_vfs(int interface) {
  request out;
  out.fixed<ifinfomsg>(RTM_GETLINK, 0)->ifi_index = interface;
  constexpr std::uint32_t skip_statistics = 1U << 3U; // RTEXT_FILTER_SKIP_STATS
  out.put(IFLA_EXT_MASK, RTEXT_FILTER_VF | skip_statistics);
  return out.taken();
}

message get_routes(int family) {
  request out;
  out.fixed<rtmsg>(RTM_GETROUTE, NLM_F_DUMP)->rtm_family = static_cast<unsigned char>(family);
  return out.taken();
}

message get_addresses() {
  request out;
  out.fixed<ifaddrmsg>(RTM_GETADDR, NLM_F_DUMP)->ifa_family = AF_UNSPEC;
  return out.taken();
}

std::map<unsigned, vf_settings> read_vfs(bytes answer) {
  std::map<unsigned, vf_settings> out;
  each_message<ifinfomsg>(answer, RTM_NEWLINK, [&](const ifinfomsg&, bytes attributes) {
    each_attribute(attributes, [&](int type, bytes list) {
      if (type == IFLA_VFINFO_LIST)
        each_attribute(list, [&](int, bytes one) {
          each_attribute(one, [&](int what, bytes payload) { take_setting(what, payload, out); });
        });
    });
  });
  return out;
}

std::string read_name(bytes answer) {
  std::string out;
  each_message<ifinfomsg>(answer, RTM_NEWLINK, [&](const ifinfomsg&, bytes attributes) {
    each_attribute(attributes, [&](int type, bytes name) {
      if (type == IFLA_IFNAME && !name.empty())
        out.assign(reinterpret_cast<const char*>(name.data()), name.size() - 1);
    });
  });
  return out;
}

std::set<int> read_default_routes(bytes answer) {
  std::set<int> out;
  each_message<rtmsg>(answer, RTM_NEWROUTE, [&](const rtmsg& route, bytes attributes) {
    // 0.0.0.0/1 and 128.0.0.0/1 are how VPNs write a default route.
    if (route.rtm_dst_len > 1 || route.rtm_type != RTN_UNICAST)
      return;
    each_attribute(attributes, [&](int type, bytes payload) {
      if (type == RTA_MULTIPATH)
        take_hops(payload, out);
      else if (auto index = front<int>(payload); index && type == RTA_OIF)
        out.insert(*index);
    });
  });
  return out;
}

std::multimap<ip_address, int> read_addresses(bytes answer) {
  std::multimap<ip_address, int> out;
  each_message<ifaddrmsg>(answer, RTM_NEWADDR, [&](const ifaddrmsg& head, bytes attributes) {
    // On a point-to-point link IFA_ADDRESS is the other end's; IFA_LOCAL is always its own.
    std::optional<ip_address> own;
    std::optional<ip_address> either;
    each_attribute(attributes, [&](int type, bytes payload) {
      if (type == IFA_LOCAL)
        own = address_of(head.ifa_family, payload);
      else if (type == IFA_ADDRESS)
        either = address_of(head.ifa_family, payload);
    });
    if (auto address = own ? own : either)
      out.emplace(*address, static_cast<int>(head.ifa_index));
  });
  return out;
}

} // namespace marchproxy::sriov

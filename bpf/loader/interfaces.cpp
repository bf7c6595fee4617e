// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/interfaces.hpp"

#include "bpf/loader/netlink.hpp"

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>

namespace marchproxy::tier_ebpf {

namespace {

// Of the family `netdev`.
constexpr std::uint8_t netdev_device_get = 1;
constexpr std::uint16_t netdev_ifindex = 1;
constexpr std::uint16_t netdev_xdp_features = 3;

tl::unexpected<error> failed(const char* what) {
  return fail(errc::unavailable,
              std::string{"network interfaces: "} + what + ": " + std::strerror(errno));
}

int take_kind(const nlattr* attribute, void* to) {
  if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND
      && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
    static_cast<interface*>(to)->kind = mnl_attr_get_str(attribute);
  return MNL_CB_OK;
}

int take_link_attribute(const nlattr* attribute, void* to) {
  auto& out = *static_cast<interface*>(to);
  switch (mnl_attr_get_type(attribute)) {
  case IFLA_IFNAME:
    if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
      out.name = mnl_attr_get_str(attribute);
    break;
  case IFLA_ADDRESS:
    if (mnl_attr_get_payload_len(attribute) == out.link_address.size())
      std::memcpy(out.link_address.data(), mnl_attr_get_payload(attribute),
                  out.link_address.size());
    break;
  case IFLA_LINKINFO:
    mnl_attr_parse_nested(attribute, take_kind, to);
    break;
  default:
    break;
  }
  return MNL_CB_OK;
}

int take_link(const nlmsghdr* message, void* to) {
  const auto* head = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  interface out;
  out.index = head->ifi_index;
  out.up = (head->ifi_flags & IFF_UP) != 0;
  out.ethernet = head->ifi_type == ARPHRD_ETHER;
  mnl_attr_parse(message, sizeof *head, take_link_attribute, &out);
  static_cast<std::vector<interface>*>(to)->push_back(std::move(out));
  return MNL_CB_OK;
}

int take_family(const nlmsghdr* message, void* to) {
  return mnl_attr_parse(
    message, sizeof(genlmsghdr),
    [](const nlattr* attribute, void* id) {
      if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID
          && mnl_attr_validate(attribute, MNL_TYPE_U16) == 0)
        *static_cast<std::uint16_t*>(id) = mnl_attr_get_u16(attribute);
      return static_cast<int>(MNL_CB_OK);
    },
    to);
}

struct device_features {
  std::uint32_t index = 0;
  std::uint64_t xdp = 0;
};

int take_features(const nlmsghdr* message, void* to) {
  device_features found;
  mnl_attr_parse(
    message, sizeof(genlmsghdr),
    [](const nlattr* attribute, void* raw) {
      auto& out = *static_cast<device_features*>(raw);
      if (mnl_attr_get_type(attribute) == netdev_ifindex
          && mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
        out.index = mnl_attr_get_u32(attribute);
      if (mnl_attr_get_type(attribute) == netdev_xdp_features
          && mnl_attr_validate(attribute, MNL_TYPE_U64) == 0)
        out.xdp = mnl_attr_get_u64(attribute);
      return static_cast<int>(MNL_CB_OK);
    },
    &found);
  (*static_cast<std::map<std::uint32_t, std::uint64_t>*>(to))[found.index] = found.xdp;
  return MNL_CB_OK;
}

nlmsghdr* generic_request(char* buffer, std::uint16_t family, std::uint8_t command) {
  auto* out = mnl_nlmsg_put_header(buffer);
  out->nlmsg_type = family;
  auto* head = static_cast<genlmsghdr*>(mnl_nlmsg_put_extra_header(out, sizeof(genlmsghdr)));
  head->cmd = command;
  head->version = 1;
  return out;
}

/// Nothing when the kernel has no such family.
std::optional<std::map<std::uint32_t, std::uint64_t>> xdp_features() {
  auto socket = netlink::open(NETLINK_GENERIC);
  if (!socket)
    return std::nullopt;
  std::array<char, netlink::longest_request> buffer{};
  std::uint16_t family = 0;
  auto* who = generic_request(buffer.data(), GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
  who->nlmsg_flags = NLM_F_ACK;
  mnl_attr_put_strz(who, CTRL_ATTR_FAMILY_NAME, "netdev");
  if (!netlink::ask(socket.get(), who, take_family, &family) || family == 0)
    return std::nullopt;
  std::map<std::uint32_t, std::uint64_t> out;
  auto* devices = generic_request(buffer.data(), family, netdev_device_get);
  devices->nlmsg_flags = NLM_F_DUMP;
  if (!netlink::ask(socket.get(), devices, take_features, &out))
    return std::nullopt;
  return out;
}

} // namespace

result<std::vector<interface>> interfaces() {
  auto socket = netlink::open(NETLINK_ROUTE);
  if (!socket)
    return failed("netlink socket");
  std::array<char, netlink::longest_request> buffer{};
  auto* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = RTM_GETLINK;
  request->nlmsg_flags = NLM_F_DUMP;
  static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(request, sizeof(ifinfomsg)))->ifi_family =
    AF_UNSPEC;
  std::vector<interface> out;
  if (!netlink::ask(socket.get(), request, take_link, &out))
    return failed("list");
  if (auto features = xdp_features())
    for (auto& i : out)
      i.xdp = (*features)[static_cast<std::uint32_t>(i.index)];
  return out;
}

} // namespace marchproxy::tier_ebpf

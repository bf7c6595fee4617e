// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/interfaces.hpp"

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
constexpr std::size_t longest_request = 256;
constexpr std::size_t longest_answer = 32'768; // the kernel sends no more at once

struct close_socket {
  void operator()(mnl_socket* s) const noexcept { mnl_socket_close(s); }
};
using socket_handle = std::unique_ptr<mnl_socket, close_socket>;

tl::unexpected<error> failed(const char* what) {
  return fail(errc::unavailable,
              std::string{"network interfaces: "} + what + ": " + std::strerror(errno));
}

result<socket_handle> open_socket(int family) {
  socket_handle out{mnl_socket_open2(family, SOCK_CLOEXEC)};
  if (!out || mnl_socket_bind(out.get(), 0, MNL_SOCKET_AUTOPID) < 0)
    return failed("netlink socket");
  return out;
}

/// Sends a request and has each message of the answer handled.
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
  auto socket = open_socket(NETLINK_GENERIC);
  if (!socket)
    return std::nullopt;
  std::array<char, longest_request> buffer{};
  std::uint16_t family = 0;
  auto* who = generic_request(buffer.data(), GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
  who->nlmsg_flags = NLM_F_ACK;
  mnl_attr_put_strz(who, CTRL_ATTR_FAMILY_NAME, "netdev");
  if (!ask(socket->get(), who, take_family, &family) || family == 0)
    return std::nullopt;
  std::map<std::uint32_t, std::uint64_t> out;
  auto* devices = generic_request(buffer.data(), family, netdev_device_get);
  devices->nlmsg_flags = NLM_F_DUMP;
  if (!ask(socket->get(), devices, take_features, &out))
    return std::nullopt;
  return out;
}

} // namespace

result<std::vector<interface>> interfaces() {
  auto socket = open_socket(NETLINK_ROUTE);
  if (!socket)
    return tl::unexpected(socket.error());
  std::array<char, longest_request> buffer{};
  auto* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = RTM_GETLINK;
  request->nlmsg_flags = NLM_F_DUMP;
  static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(request, sizeof(ifinfomsg)))->ifi_family =
    AF_UNSPEC;
  std::vector<interface> out;
  if (!ask(socket->get(), request, take_link, &out))
    return failed("list");
  if (auto features = xdp_features())
    for (auto& i : out)
      i.xdp = (*features)[static_cast<std::uint32_t>(i.index)];
  return out;
}

} // namespace marchproxy::tier_ebpf

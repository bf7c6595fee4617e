// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/attachment.hpp"

#include "bpf/loader/descriptor.hpp"
#include "bpf/loader/netlink.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

namespace marchproxy::tier_ebpf {

namespace {

constexpr std::uint32_t our_handle = 0x4d50;
constexpr std::uint32_t our_priority = 1; // before all others: nothing may let a packet by unjudged
constexpr std::string_view our_program = "mp_ingress";

bpf_tc_hook hook_of(int ifindex) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = ifindex;
  hook.attach_point = BPF_TC_INGRESS;
  return hook;
}

bpf_tc_opts place() {
  bpf_tc_opts out{};
  out.sz = sizeof out;
  out.handle = our_handle;
  out.priority = our_priority;
  return out;
}

tl::unexpected<error> failed(int ifindex, const char* what, int negative_errno) {
  return fail(errc::unavailable, "interface " + std::to_string(ifindex) + ": " + what + ": "
                                   + std::strerror(-negative_errno));
}

result<void> check_ethernet(int ifindex) {
  ifreq request{};
  if (ifindex <= 0
      || ::if_indextoname(static_cast<unsigned>(ifindex), &request.ifr_name[0]) == nullptr)
    return fail(errc::not_found, "interface " + std::to_string(ifindex) + " does not exist");
  descriptor socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket || ::ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0)
    return failed(ifindex, "hardware type", -errno);
  auto type = request.ifr_hwaddr.sa_family;
  if (type != ARPHRD_ETHER && type != ARPHRD_LOOPBACK)
    return fail(errc::unsupported, "interface " + std::to_string(ifindex)
                                     + " is not Ethernet (type " + std::to_string(type) + ")");
  return {};
}

/// What the kernel says of a filter to anybody; who asks about the program itself needs
/// CAP_SYS_ADMIN.
struct filter_found {
  std::string name;
  std::uint32_t program = 0;
};

int take_option(const nlattr* attribute, void* to) {
  auto& out = *static_cast<filter_found*>(to);
  const auto type = mnl_attr_get_type(attribute);
  if (type == TCA_BPF_NAME && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
    out.name = mnl_attr_get_str(attribute);
  if (type == TCA_BPF_ID && mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
    out.program = mnl_attr_get_u32(attribute);
  return MNL_CB_OK;
}

int take_filter(const nlmsghdr* message, void* to) {
  mnl_attr_parse(
    message, sizeof(tcmsg),
    [](const nlattr* attribute, void* out) {
      if (mnl_attr_get_type(attribute) == TCA_OPTIONS)
        mnl_attr_parse_nested(attribute, take_option, out);
      return static_cast<int>(MNL_CB_OK);
    },
    to);
  return MNL_CB_STOP; // there is one
}

} // namespace

result<std::uint32_t> attached_program(int ifindex) {
  auto socket = netlink::open(NETLINK_ROUTE);
  if (!socket)
    return failed(ifindex, "netlink socket", -errno);
  std::array<char, netlink::longest_request> buffer{};
  auto* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = RTM_GETTFILTER;
  auto* where = static_cast<tcmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(tcmsg)));
  where->tcm_family = AF_UNSPEC;
  where->tcm_ifindex = ifindex;
  where->tcm_handle = our_handle;
  where->tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
  where->tcm_info = TC_H_MAKE(our_priority << 16, htons(ETH_P_ALL));
  mnl_attr_put_strz(request, TCA_KIND, "bpf");
  filter_found found;
  if (!netlink::ask(socket.get(), request, take_filter, &found)) {
    if (errno == ENOENT || errno == EINVAL) // no filter there; no clsact there
      return 0U;
    return failed(ifindex, "query", -errno);
  }
  // As libbpf calls a filter: the program's name and number.
  if (found.name != std::string{our_program} + ":[" + std::to_string(found.program) + "]")
    return fail(errc::conflict, "interface " + std::to_string(ifindex)
                                  + ": another program holds the first place of the tc ingress");
  return found.program;
}

result<void> attach_filter(int ifindex, int program_fd) {
  if (auto ok = check_ethernet(ifindex); !ok)
    return ok;
  auto hook = hook_of(ifindex);
  if (auto rc = bpf_tc_hook_create(&hook); rc != 0 && rc != -EEXIST)
    return failed(ifindex, "clsact qdisc", rc);
  if (auto before = attached_program(ifindex); !before)
    return tl::unexpected(before.error());
  auto at = place();
  at.prog_fd = program_fd;
  at.flags = BPF_TC_F_REPLACE;
  if (auto rc = bpf_tc_attach(&hook, &at); rc != 0)
    return failed(ifindex, "tc filter", rc);
  return {};
}

result<void> detach_filter(int ifindex, std::uint32_t program_id) {
  auto there = attached_program(ifindex);
  if (!there || *there != program_id)
    return {}; // gone, or another process's by now
  auto hook = hook_of(ifindex);
  auto at = place();
  if (auto rc = bpf_tc_detach(&hook, &at); rc != 0 && rc != -ENOENT && rc != -ENODEV)
    return failed(ifindex, "removing the tc filter", rc);
  return {};
}

} // namespace marchproxy::tier_ebpf

// SPDX-License-Identifier: AGPL-3.0-only
#include "tests/bench/packet_worker/cables.hpp"

#include "bpf/loader/probe_frame.hpp"
#include "dpdk/forwarding/netlink.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace marchproxy::bench {

namespace {

void must(bool done, const char* what) {
  if (done)
    return;
  std::perror(what);
  std::exit(1);
}

forwarding::mac_address address_of(const char* name) {
  auto view = forwarding::read_kernel();
  must(view.has_value(), "netlink");
  for (const auto& l : view->links)
    if (l.name == name)
      return l.address;
  return {};
}

} // namespace

cables::cables(std::span<const policy::flow> flows) {
  must(::unshare(CLONE_NEWNET) == 0, "network namespace");
  for (const auto& [outer, inner] : {std::pair{"mpb0", near_end}, std::pair{"mpb3", far_end}}) {
    auto add = std::string{"ip link add "} + outer + " type veth peer name " + inner;
    must(std::system(add.c_str()) == 0, "cable");
    for (const auto* name : {outer, inner})
      must(std::system((std::string{"ip link set up dev "} + name).c_str()) == 0, name);
  }
  auto to = address_of(near_end);
  for (const auto& f : flows) {
    auto frame = *tier_ebpf::first_frame(f);
    std::memcpy(frame.bytes.data(), to.data(), to.size());
    frames_.emplace_back(frame.view().begin(), frame.view().end());
  }
  raw_ = tier_ebpf::descriptor{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};
  sockaddr_ll at{};
  at.sll_family = AF_PACKET;
  at.sll_ifindex = static_cast<int>(::if_nametoindex("mpb0"));
  must(::bind(raw_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0, "raw socket");
}

std::size_t cables::send() {
  std::array<iovec, burst> parts{};
  std::array<mmsghdr, burst> messages{};
  for (std::size_t i = 0; i < burst; ++i, next_ = (next_ + 1) % frames_.size()) {
    parts[i] = {frames_[next_].data(), frames_[next_].size()};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  auto sent = ::sendmmsg(raw_.get(), messages.data(), burst, 0);
  must(sent > 0, "sending");
  return static_cast<std::size_t>(sent);
}

std::shared_ptr<const forwarding::table> cables::all_to_far_end() const {
  const std::array ports{static_cast<int>(::if_nametoindex(near_end)),
                         static_cast<int>(::if_nametoindex(far_end))};
  forwarding::kernel_view view;
  view.routes4 = true;
  view.links = {{ports[0], near_end, address_of(near_end), 1500},
                {ports[1], far_end, address_of(far_end), 1500}};
  view.neighbours = {{ports[1], *parse_ip("192.0.2.2"), address_of("mpb3"), false}};
  view.routes = {{*parse_prefix("0.0.0.0/0"), 0, ports[1], parse_ip("192.0.2.2")}};
  return forwarding::table::make(view, ports, 1);
}

} // namespace marchproxy::bench

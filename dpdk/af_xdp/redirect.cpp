// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/af_xdp/redirect.hpp"

#include "bpf/loader/descriptor.hpp"
#include "bpf/loader/node_addresses.hpp"
#include "bpf/loader/traffic.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <linux/if_link.h>
#include <mp_redirect.skel.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace marchproxy::af_xdp {

namespace {

using tier_ebpf::descriptor;

constexpr std::string_view our_program = "mp_to_worker";

struct program_info {
  std::uint32_t id = 0;
  std::string name;
};

program_info info_of(const descriptor& fd) {
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0)
    return {};
  return {info.id, std::string{&info.name[0]}};
}

tl::unexpected<error> failed(int ifindex, const char* what, int negative_errno) {
  return fail(errc::unavailable, "interface " + std::to_string(ifindex) + ": " + what + ": "
                                   + std::strerror(-negative_errno));
}

} // namespace

void redirect_free::operator()(mp_redirect* object) const noexcept {
  mp_redirect::destroy(object);
}

result<redirect> redirect::load(int ifindex) {
  redirect out{mp_redirect::open_and_load(), ifindex};
  if (!out.object_)
    return fail(errc::unsupported,
                std::string{"loading the XDP program of AF_XDP: "} + std::strerror(errno));
  std::uint32_t there = 0;
  if (bpf_xdp_query_id(ifindex, 0, &there) == 0 && there != 0)
    out.before_ = descriptor{bpf_prog_get_fd_by_id(there)};
  if (info_of(out.before_).name != our_program)
    out.before_ = {};
  return out;
}

redirect::~redirect() {
  if (!object_ || !attached_)
    return;
  // With the old program named, one that another process attached meanwhile stays.
  bpf_xdp_attach_opts only_ours{};
  only_ours.sz = sizeof only_ours;
  only_ours.old_prog_fd = bpf_program__fd(object_->progs.mp_to_worker);
  bpf_xdp_detach(ifindex_, native_ ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE, &only_ours);
}

result<void> redirect::attach() {
  std::uint32_t there = 0;
  if (auto rc = bpf_xdp_query_id(ifindex_, 0, &there); rc != 0)
    return failed(ifindex_, "asking for its XDP program", rc);
  if (there != 0 && info_of(before_).id != there)
    return fail(errc::conflict,
                "interface " + std::to_string(ifindex_) + ": another XDP program is attached");
  auto fd = bpf_program__fd(object_->progs.mp_to_worker);
  bpf_xdp_attach_opts in_place_of{};
  in_place_of.sz = sizeof in_place_of;
  in_place_of.old_prog_fd = before_.get();
  auto* options = there != 0 ? &in_place_of : nullptr;
  auto flags = there != 0 ? 0U : XDP_FLAGS_UPDATE_IF_NOEXIST;
  native_ = true;
  auto rc = bpf_xdp_attach(ifindex_, fd, flags | XDP_FLAGS_DRV_MODE, options);
  if (rc != 0 && rc != -EBUSY) {
    native_ = false;
    rc = bpf_xdp_attach(ifindex_, fd, flags | XDP_FLAGS_SKB_MODE, options);
  }
  if (rc != 0)
    return failed(ifindex_, "attaching XDP", rc);
  attached_ = true;
  before_ = {};
  return {};
}

result<void> redirect::bring(std::uint32_t queue, int socket) {
  auto map = bpf_map__fd(object_->maps.sockets);
  if (bpf_map_update_elem(map, &queue, &socket, BPF_ANY) != 0)
    return failed(ifindex_, "AF_XDP socket into the map", -errno);
  return {};
}

result<void> redirect::set_own(std::span<const ip_address> own) {
  std::set<tier_ebpf::address_bytes> wanted;
  for (const auto& address : own)
    wanted.insert(tier_ebpf::bytes_of(address));
  return tier_ebpf::sync_addresses(bpf_map__fd(object_->maps.local_addresses), wanted);
}

} // namespace marchproxy::af_xdp

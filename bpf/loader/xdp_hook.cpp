// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/xdp_hook.hpp"

#include "bpf/loader/descriptor.hpp"
#include "bpf/loader/kernel_programs.hpp"
#include "bpf/loader/traffic.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <linux/if_link.h>
#include <mp_xdp.skel.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace marchproxy::tier_ebpf {

namespace {

constexpr std::string_view our_program = "mp_xdp";

std::uint32_t flags_of(xdp_mode mode) {
  return mode == xdp_mode::native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
}

tl::unexpected<error> failed(int ifindex, const char* what, int negative_errno) {
  auto code = negative_errno == -EOPNOTSUPP ? errc::unsupported : errc::unavailable;
  return fail(code, "interface " + std::to_string(ifindex) + ": " + what + ": "
                      + std::strerror(-negative_errno));
}

/// What is attached, in either mode.
result<bpf_xdp_query_opts> query(int ifindex) {
  bpf_xdp_query_opts out{};
  out.sz = sizeof out;
  if (auto rc = bpf_xdp_query(ifindex, 0, &out); rc != 0)
    return failed(ifindex, "XDP query", rc);
  return out;
}

std::uint32_t id_in(const bpf_xdp_query_opts& there, xdp_mode mode) {
  return mode == xdp_mode::native ? there.drv_prog_id : there.skb_prog_id;
}

int put(int ifindex, int fd, std::uint32_t flags, std::uint32_t old_id) {
  bpf_xdp_attach_opts options{};
  options.sz = sizeof options;
  descriptor old{old_id != 0 ? bpf_prog_get_fd_by_id(old_id) : -1};
  options.old_prog_fd = old.get();
  if (!old)
    flags |= XDP_FLAGS_UPDATE_IF_NOEXIST;
  return bpf_xdp_attach(ifindex, fd, flags, old ? &options : nullptr);
}

} // namespace

std::string_view to_string(xdp_mode mode) noexcept {
  return mode == xdp_mode::native ? "native" : "generic";
}

void xdp_object_free::operator()(mp_xdp* object) const noexcept {
  mp_xdp::destroy(object);
}

result<std::unique_ptr<xdp_hook>> xdp_hook::load(const std::map<std::string_view, int>& shared,
                                                 std::uint32_t connections_of_source) {
  begin_loading();
  std::unique_ptr<xdp_hook> out{new xdp_hook};
  out->object_.reset(mp_xdp::open());
  if (!out->object_)
    return cannot_load("opening the XDP program", -errno);
  out->object_->rodata->connections_of_source = connections_of_source;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, out->object_->obj) {
    auto found = shared.find(bpf_map__name(map));
    if (found == shared.end())
      continue;
    if (auto rc = bpf_map__reuse_fd(map, found->second); rc != 0)
      return cannot_load("sharing maps with the XDP program", rc);
  }
  if (auto rc = mp_xdp::load(out->object_.get()); rc != 0)
    return cannot_load("loading the XDP program", rc);
  out->program_fd_ = bpf_program__fd(out->object_->progs.mp_xdp);
  out->judge_fd_ = bpf_program__fd(out->object_->progs.mp_judge_xdp);
  out->program_id_ = id_of_program(out->program_fd_);
  return out;
}

xdp_hook::~xdp_hook() {
  while (!attached_.empty()) {
    auto ifindex = attached_.begin()->first;
    static_cast<void>(detach(ifindex)); // an interface that is gone needs none
    attached_.erase(ifindex);
  }
}

result<void> xdp_hook::attach(int ifindex, xdp_mode mode) {
  auto there = query(ifindex);
  if (!there)
    return tl::unexpected(there.error());
  for (auto m : {xdp_mode::native, xdp_mode::generic})
    if (auto id = id_in(*there, m); id != 0 && !is_named(id, our_program))
      return fail(errc::conflict,
                  "interface " + std::to_string(ifindex) + ": another XDP program is attached");
  // The kernel wants one mode gone before the other comes: packets then go to the tc program.
  auto other = mode == xdp_mode::native ? xdp_mode::generic : xdp_mode::native;
  if (auto id = id_in(*there, other); id != 0)
    if (auto rc = put(ifindex, -1, flags_of(other), id); rc != 0)
      return failed(ifindex, "removing the XDP program", rc);
  if (auto rc = put(ifindex, program_fd_, flags_of(mode), id_in(*there, mode)); rc != 0)
    return failed(ifindex, mode == xdp_mode::native ? "native XDP" : "generic XDP", rc);
  attached_[ifindex] = mode;
  return {};
}

result<void> xdp_hook::detach(int ifindex) {
  auto found = attached_.find(ifindex);
  if (found == attached_.end())
    return {};
  auto mode = found->second;
  auto there = query(ifindex);
  if (!there)
    return tl::unexpected(there.error());
  attached_.erase(found);
  if (id_in(*there, mode) != program_id_)
    return {}; // gone, or another process's by now
  if (auto rc = put(ifindex, -1, flags_of(mode), program_id_); rc != 0)
    return failed(ifindex, "removing the XDP program", rc);
  return {};
}

result<void> xdp_hook::follow(const std::vector<interface>& all) {
  auto redirects = bpf_map__fd(object_->maps.redirect_targets);
  std::vector<int> wanted;
  for (const auto& i : all)
    if (i.up && i.ethernet && (i.xdp.value_or(0) & xdp_takes) != 0)
      wanted.push_back(i.index);
  std::sort(wanted.begin(), wanted.end());
  for (auto was : targets_)
    if (!std::binary_search(wanted.begin(), wanted.end(), was))
      bpf_map_delete_elem(redirects, &was);
  for (auto target : wanted)
    if (!std::binary_search(targets_.begin(), targets_.end(), target)
        && bpf_map_update_elem(redirects, &target, &target, BPF_ANY) != 0)
      return failed(target, "redirecting to it", -errno);
  targets_ = std::move(wanted);
  return {};
}

mp_totals xdp_hook::totals() const {
  return read_totals(bpf_map__fd(object_->maps.totals));
}

} // namespace marchproxy::tier_ebpf

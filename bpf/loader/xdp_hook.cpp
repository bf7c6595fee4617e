// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/xdp_hook.hpp"

#include "bpf/loader/traffic.hpp"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace marchproxy::tier_ebpf {

std::string_view to_string(xdp_mode mode) noexcept {
  return mode == xdp_mode::native ? "native" : "generic";
}

result<std::unique_ptr<xdp_hook>> xdp_hook::load(std::shared_ptr<installer> by) {
  auto loaded = by->load_xdp();
  if (!loaded)
    return tl::unexpected(loaded.error());
  std::unique_ptr<xdp_hook> out{new xdp_hook};
  out->by_ = std::move(by);
  out->object_ = std::move(*loaded);
  out->program_fd_ = out->object_.program("mp_xdp");
  out->judge_fd_ = out->object_.program("mp_judge_xdp");
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
  if (auto done = by_->attach_xdp(ifindex, mode); !done)
    return done;
  attached_[ifindex] = mode;
  return {};
}

result<void> xdp_hook::detach(int ifindex) {
  auto found = attached_.find(ifindex);
  if (found == attached_.end())
    return {};
  if (auto done = by_->detach_xdp(ifindex, found->second); !done)
    return done;
  attached_.erase(found);
  return {};
}

result<void> xdp_hook::follow(const std::vector<interface>& all) {
  auto redirects = object_.map("redirect_targets");
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
      return fail(errc::unavailable, "interface " + std::to_string(target)
                                       + ": redirecting to it: " + std::strerror(errno));
  targets_ = std::move(wanted);
  return {};
}

mp_totals xdp_hook::totals() const {
  return read_totals(object_.map("totals"));
}

} // namespace marchproxy::tier_ebpf

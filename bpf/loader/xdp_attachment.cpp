// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/xdp_attachment.hpp"

#include "bpf/loader/interfaces.hpp"
#include "bpf/loader/kernel_programs.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <fcntl.h>
#include <linux/if_link.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

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

/// @param old  what it replaces, or removes when @p fd is -1; none: there is nothing
int put(int ifindex, int fd, xdp_mode mode, const descriptor& old) {
  bpf_xdp_attach_opts options{};
  options.sz = sizeof options;
  options.old_prog_fd = old.get();
  auto flags = flags_of(mode) | (old ? 0U : XDP_FLAGS_UPDATE_IF_NOEXIST);
  return bpf_xdp_attach(ifindex, fd, flags, old ? &options : nullptr);
}

descriptor copy_of(int fd) {
  return descriptor{::fcntl(fd, F_DUPFD_CLOEXEC, 0)};
}

} // namespace

xdp_predecessors xdp_predecessors::find() {
  xdp_predecessors out;
  auto all = interfaces();
  if (!all)
    return out;
  for (const auto& i : *all) {
    auto there = query(i.index);
    if (!there)
      continue;
    for (auto mode : {xdp_mode::native, xdp_mode::generic})
      if (auto id = id_in(*there, mode); id != 0 && is_named(id, our_program))
        out.known_.emplace(id, descriptor{bpf_prog_get_fd_by_id(id)});
  }
  return out;
}

descriptor xdp_predecessors::open(std::uint32_t program_id) const {
  if (auto found = known_.find(program_id); found != known_.end())
    return copy_of(found->second.get());
  return is_named(program_id, our_program) ? descriptor{bpf_prog_get_fd_by_id(program_id)}
                                           : descriptor{};
}

result<void>
attach_xdp_program(int ifindex, xdp_mode mode, int program_fd, const xdp_predecessors& before) {
  auto there = query(ifindex);
  if (!there)
    return tl::unexpected(there.error());
  auto other = mode == xdp_mode::native ? xdp_mode::generic : xdp_mode::native;
  std::map<xdp_mode, descriptor> old;
  for (auto m : {mode, other}) {
    auto id = id_in(*there, m);
    if (id != 0)
      old[m] = id == id_of_program(program_fd) ? copy_of(program_fd) : before.open(id);
    if (id != 0 && !old[m])
      return fail(errc::conflict,
                  "interface " + std::to_string(ifindex) + ": another XDP program is attached");
  }
  // The kernel wants one mode gone before the other comes: packets then go to the tc program.
  if (old[other])
    if (auto rc = put(ifindex, -1, other, old[other]); rc != 0)
      return failed(ifindex, "removing the XDP program", rc);
  if (auto rc = put(ifindex, program_fd, mode, old[mode]); rc != 0)
    return failed(ifindex, mode == xdp_mode::native ? "native XDP" : "generic XDP", rc);
  return {};
}

result<void> detach_xdp_program(int ifindex, xdp_mode mode, int program_fd) {
  auto there = query(ifindex);
  if (!there)
    return tl::unexpected(there.error());
  auto ours = id_of_program(program_fd);
  if (ours == 0 || id_in(*there, mode) != ours)
    return {}; // gone, or another process's by now
  if (auto rc = put(ifindex, -1, mode, copy_of(program_fd)); rc != 0)
    return failed(ifindex, "removing the XDP program", rc);
  return {};
}

result<void> remove_predecessors(int ifindex, const xdp_predecessors& before) {
  auto there = query(ifindex);
  if (!there)
    return tl::unexpected(there.error());
  for (auto mode : {xdp_mode::native, xdp_mode::generic}) {
    const auto id = id_in(*there, mode);
    if (id == 0)
      continue;
    if (const auto old = before.open(id))
      if (auto rc = put(ifindex, -1, mode, old); rc != 0)
        return failed(ifindex, "removing the XDP program of a process before", rc);
  }
  return {};
}

} // namespace marchproxy::tier_ebpf

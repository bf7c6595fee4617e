// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/probe.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <linux/capability.h>
#include <sched.h>
#include <sys/utsname.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string_view>
#include <thread>

namespace marchproxy::tier_ebpf {

namespace {

probe_report::check kernel_check() {
  utsname name{};
  if (::uname(&name) != 0)
    return {"kernel", false, "uname failed"};
  return {"kernel", std::strcmp(name.sysname, "Linux") == 0,
          std::string{name.sysname} + " " + name.release};
}

std::uint64_t effective_capabilities() {
  std::ifstream status{"/proc/self/status"};
  std::string line;
  constexpr std::string_view field = "CapEff:\t";
  while (std::getline(status, line))
    if (line.compare(0, field.size(), field) == 0) {
      std::uint64_t bits = 0;
      std::from_chars(line.data() + field.size(), line.data() + line.size(), bits, 16);
      return bits;
    }
  return 0;
}

probe_report::check capability_check() {
  auto held = effective_capabilities();
  auto has = [&](unsigned bit) { return ((held >> bit) & 1) != 0; };
  std::string missing;
  if (!has(CAP_BPF) && !has(CAP_SYS_ADMIN))
    missing += " CAP_BPF";
  if (!has(CAP_PERFMON) && !has(CAP_SYS_ADMIN))
    missing += " CAP_PERFMON";
  if (!has(CAP_NET_ADMIN))
    missing += " CAP_NET_ADMIN";
  return {"capabilities", missing.empty(),
          missing.empty() ? "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are held"
                          : "missing:" + missing};
}

probe_report::check map_check() {
  struct kind {
    bpf_map_type type;
    const char* name;
  };
  constexpr std::array<kind, 6> needed{{{BPF_MAP_TYPE_ARRAY, "array"},
                                        {BPF_MAP_TYPE_ARRAY_OF_MAPS, "array_of_maps"},
                                        {BPF_MAP_TYPE_LRU_HASH, "lru_hash"},
                                        {BPF_MAP_TYPE_PERCPU_HASH, "percpu_hash"},
                                        {BPF_MAP_TYPE_PERCPU_ARRAY, "percpu_array"},
                                        {BPF_MAP_TYPE_RINGBUF, "ringbuf"}}};
  std::string missing;
  for (const auto& k : needed)
    if (libbpf_probe_bpf_map_type(k.type, nullptr) != 1)
      missing += std::string{" "} + k.name;
  return {"maps", missing.empty(),
          missing.empty() ? "all map types are there" : "map types that cannot be made:" + missing};
}

probe_report::check loop_check() {
  auto ok = libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_loop, nullptr) == 1;
  return {"bpf_loop", ok,
          ok ? "the helper is there"
             : "the helper is missing (Linux 5.17 has it) or may not be used"};
}

/// Tries a clsact qdisc on the loopback of a network namespace that ends with its thread.
probe_report::check tc_check() {
  int problem = 0;
  bool separate = false;
  std::thread{[&] {
    if (::unshare(CLONE_NEWNET) != 0)
      return;
    separate = true;
    bpf_tc_hook hook{};
    hook.sz = sizeof hook;
    hook.ifindex = 1;
    hook.attach_point = BPF_TC_INGRESS;
    problem = bpf_tc_hook_create(&hook);
  }}.join();
  if (!separate)
    return {"tc", true, "not tried: no namespace can be made to try it in; attaching will tell"};
  if (problem != 0)
    return {"tc", false,
            std::string{"the clsact qdisc cannot be made: "} + std::strerror(-problem)};
  return {"tc", true, "the clsact qdisc is there"};
}

} // namespace

bool probe_report::usable() const noexcept {
  for (const auto& c : checks)
    if (!c.ok)
      return false;
  return true;
}

std::string probe_report::reason() const {
  std::string out;
  for (const auto& c : checks)
    if (!c.ok)
      out += (out.empty() ? "" : "; ") + c.name + ": " + c.detail;
  return out.empty() ? "usable" : out;
}

probe_report probe() {
  // libbpf's own reports about what a probe finds missing are not for the log.
  auto before = libbpf_set_print(nullptr);
  probe_report out{{kernel_check(), capability_check(), map_check(), loop_check(), tc_check()}};
  libbpf_set_print(before);
  return out;
}

} // namespace marchproxy::tier_ebpf

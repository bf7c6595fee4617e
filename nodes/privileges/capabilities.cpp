// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/privileges/capabilities.hpp"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <string_view>

namespace marchproxy::privileges {

namespace {

constexpr int most_capabilities = 64;
constexpr std::size_t words = 2; // of version 3

struct name_of {
  int number;
  std::string_view name;
};
/// Those that MarchProxy speaks of.
constexpr std::array<name_of, 12> known_names{{{CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"},
                                               {CAP_SETPCAP, "CAP_SETPCAP"},
                                               {CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"},
                                               {CAP_NET_ADMIN, "CAP_NET_ADMIN"},
                                               {CAP_NET_RAW, "CAP_NET_RAW"},
                                               {CAP_IPC_LOCK, "CAP_IPC_LOCK"},
                                               {CAP_SYS_RAWIO, "CAP_SYS_RAWIO"},
                                               {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
                                               {CAP_SYS_NICE, "CAP_SYS_NICE"},
                                               {CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE"},
                                               {CAP_PERFMON, "CAP_PERFMON"},
                                               {CAP_BPF, "CAP_BPF"}}};

using kernel_sets = std::array<__user_cap_data_struct, words>;

__user_cap_header_struct head() noexcept {
  return {_LINUX_CAPABILITY_VERSION_3, 0};
}

// glibc has no wrappers; libcap's would be all that is used of it.
bool read(kernel_sets& out) noexcept {
  auto h = head();
  return ::syscall(SYS_capget, &h, out.data()) == 0;
}

bool write(capability_set usable, capability_set inheritable) noexcept {
  auto h = head();
  kernel_sets sets{};
  for (std::size_t i = 0; i < words; ++i) {
    sets[i].permitted = sets[i].effective = static_cast<std::uint32_t>(usable >> (32 * i));
    sets[i].inheritable = static_cast<std::uint32_t>(inheritable >> (32 * i));
  }
  return ::syscall(SYS_capset, &h, sets.data()) == 0;
}

bool has(capability_set set, int number) noexcept {
  return ((set >> number) & 1) != 0;
}

/// Takes from the bounding set what is not in @p keep.
bool bound(capability_set keep) noexcept {
  for (int n = 0; n < most_capabilities; ++n)
    if (!has(keep, n) && ::prctl(PR_CAPBSET_READ, n, 0, 0, 0) == 1
        && ::prctl(PR_CAPBSET_DROP, n, 0, 0, 0) != 0)
      return false;
  return true;
}

tl::unexpected<error> refused(const char* what) {
  return fail(errc::unavailable, std::string{what} + ": " + std::strerror(errno));
}

template <class Number>
Number number_after(std::string_view line, std::size_t prefix, int base) {
  Number out = 0;
  std::from_chars(line.data() + prefix, line.data() + line.size(), out, base);
  return out;
}

} // namespace

capability_set held() noexcept {
  kernel_sets sets{};
  if (!read(sets))
    return 0;
  return capability_set{sets[1].effective} << 32 | sets[0].effective;
}

std::string names(capability_set set) {
  std::string out;
  for (int n = 0; n < most_capabilities; ++n) {
    if (!has(set, n))
      continue;
    out += out.empty() ? "" : " ";
    std::string_view name;
    for (const auto& known : known_names)
      if (known.number == n)
        name = known.name;
    out += name.empty() ? std::to_string(n) : std::string{name};
  }
  return out;
}

result<void> keep_only(capability_set keep) {
  const auto kept = held() & keep;
  if (has(held(), CAP_SETPCAP) && !bound(kept))
    return refused("bounding set of capabilities");
  if (!write(kept, 0)) // which empties the ambient set too
    return refused("capabilities");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return refused("no_new_privs");
  return {};
}

bool pass_on(capability_set pass) noexcept {
  const auto passed = held() & pass;
  if (has(held(), CAP_SETPCAP) && !bound(passed))
    return false;
  if (!write(passed, passed))
    return false;
  for (int n = 0; n < most_capabilities; ++n)
    if (has(passed, n) && ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, n, 0, 0) != 0)
      return false;
  return true;
}

result<restrictions> of_process() {
  std::ifstream status{"/proc/self/status"};
  restrictions out;
  int found = 0;
  constexpr std::string_view capabilities = "CapEff:\t";
  constexpr std::string_view no_new = "NoNewPrivs:\t";
  constexpr std::string_view seccomp = "Seccomp:\t";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(capabilities))
      ++found, out.effective = number_after<capability_set>(line, capabilities.size(), 16);
    else if (line.starts_with(no_new))
      ++found, out.no_new_privileges = number_after<int>(line, no_new.size(), 10) == 1;
    else if (line.starts_with(seccomp))
      ++found, out.filtered = number_after<int>(line, seccomp.size(), 10) == 2;
  }
  if (found != 3)
    return fail(errc::unavailable, "/proc/self/status does not tell the process's privileges");
  return out;
}

} // namespace marchproxy::privileges

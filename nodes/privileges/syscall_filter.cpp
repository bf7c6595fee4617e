// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/privileges/syscall_filter.hpp"

#include "nodes/privileges/syscalls.hpp"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace marchproxy::privileges {

namespace {

struct release {
  void operator()(scmp_filter_ctx context) const noexcept { ::seccomp_release(context); }
};
using context = std::unique_ptr<void, release>;

/// One that libseccomp does not know is a slip in a list of ours; one that this processor has not
/// got has a number below 0, which the library skips.
int number_of(const char* name) {
  const auto number = ::seccomp_syscall_resolve_name(name);
  MP_INVARIANT(number != __NR_SCMP_ERROR);
  return number;
}

/// Rules are added to one filter; the first that the library refuses is remembered.
class rules {
public:
  explicit rules(scmp_filter_ctx to) : to_(to) {}

  void add(std::uint32_t action, std::span<const char* const> names) {
    for (const auto* name : names)
      note(::seccomp_rule_add_array(to_, action, number_of(name), 0, nullptr));
  }
  void allow(std::span<const char* const> names) { add(SCMP_ACT_ALLOW, names); }
  void allow(const char* name) { allow(std::span{&name, 1}); }
  /// When the argument, of 32 bits, has a value. What is above them the kernel does not read.
  void allow(const char* name, unsigned argument, std::uint32_t value) {
    allow(name, {argument, SCMP_CMP_MASKED_EQ, 0xffff'ffff, value});
  }
  /// open() or openat(), for reading.
  void allow_reading(const char* name) {
    const auto flags = std::string_view{name} == "open" ? 1U : 2U;
    allow(name, {flags, SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY});
  }
  /// When the argument has the bits.
  void allow_bits(const char* name, unsigned argument, std::uint64_t bits) {
    allow(name, {argument, SCMP_CMP_MASKED_EQ, bits, bits});
  }
  [[nodiscard]] int problem() const noexcept { return problem_; }

private:
  void allow(const char* name, scmp_arg_cmp when) {
    note(::seccomp_rule_add_array(to_, SCMP_ACT_ALLOW, number_of(name), 1, &when));
  }
  void note(int code) noexcept {
    if (problem_ == 0)
      problem_ = code;
  }

  scmp_filter_ctx to_;
  int problem_ = 0;
};

void add_bpf(rules& to) {
  for (auto command : {BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM,
                       BPF_MAP_GET_NEXT_KEY, BPF_PROG_TEST_RUN, BPF_OBJ_GET_INFO_BY_FD,
                       BPF_MAP_LOOKUP_AND_DELETE_ELEM, BPF_MAP_LOOKUP_BATCH,
                       BPF_MAP_LOOKUP_AND_DELETE_BATCH, BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH})
    to.allow("bpf", 0, command);
}

void add_sockets(rules& to, bool packets) {
  for (auto family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK})
    to.allow("socket", 0, static_cast<std::uint32_t>(family));
  if (packets) {
    to.allow("socket");
    to.allow("ioctl");
    return;
  }
  // Terminals, names and numbers of interfaces, and what waits in a descriptor.
  for (auto what : {TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, SIOCGIFNAME, SIOCGIFINDEX,
                    SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFNETMASK, SIOCGIFHWADDR, SIOCGIFMTU})
    to.allow("ioctl", 1, static_cast<std::uint32_t>(what));
}

void add_own_process(rules& to) {
  const auto self = static_cast<std::uint32_t>(::getpid());
  to.allow("kill", 0, self);
  to.allow("tgkill", 0, self);
  to.allow_bits("clone", 0, CLONE_THREAD);
  for (auto what : {PR_SET_NAME, PR_GET_NAME, PR_CAPBSET_READ, PR_GET_DUMPABLE, PR_SET_DUMPABLE})
    to.allow("prctl", 0, static_cast<std::uint32_t>(what));
  constexpr int set_name_of_memory = 0x53564d41; // PR_SET_VMA
  to.allow("prctl", 0, set_name_of_memory);
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool looks_for_leaks = true; ///< at its end, by a process that traces this one
#else
constexpr bool looks_for_leaks = false;
#endif

void fill(rules& to, const syscall_filter& filter) {
  to.add(SCMP_ACT_KILL_PROCESS, syscalls::deadly());
  constexpr std::array tracing{"ptrace"};
  if (!looks_for_leaks)
    to.add(SCMP_ACT_KILL_PROCESS, tracing);
  else if (!filter.what_is_unknown) // else all is let through, and a rule that says so is an error
    to.add(SCMP_ACT_ALLOW, tracing);
  if (!filter.children) {
    constexpr std::array exec{"execve"};
    to.add(SCMP_ACT_KILL_PROCESS, exec);
  }
  if (filter.what_is_unknown)
    return to.add(SCMP_ACT_ERRNO(EPERM), syscalls::refused());
  to.allow("clone3"); // see without_clone3()
  if (filter.writes_files)
    to.allow(syscalls::files_written());
  else
    for (const auto* call : {"open", "openat"})
      to.allow_reading(call);
  if (filter.connects)
    to.allow(syscalls::connections());
  for (auto list :
       {syscalls::files(), syscalls::descriptors(), syscalls::memory(), syscalls::threads(),
        syscalls::signals_and_time(), syscalls::sockets(), syscalls::itself()})
    to.allow(list);
  add_own_process(to);
  if (looks_for_leaks)
    for (const auto* call : {"clone", "prctl"})
      to.allow(call);
  add_sockets(to, filter.packet_sockets);
  if (filter.children) {
    to.allow(syscalls::children());
    to.allow("prctl", 0, PR_SET_PDEATHSIG);
  }
  if (filter.io_uring)
    for (const auto* name : {"io_uring_setup", "io_uring_enter", "io_uring_register"})
      to.allow(name);
  if (filter.bpf)
    to.allow("bpf");
  else if (filter.bpf_by_descriptor)
    add_bpf(to);
}

tl::unexpected<error> cannot(const char* what, int negative_errno) {
  return fail(errc::unsupported,
              std::string{"system call filter: "} + what + ": " + std::strerror(-negative_errno));
}

/// @param tells  the kernel logs what is not let through
result<void> load(const context& made, const rules& all, bool tells) {
  if (all.problem() != 0)
    return cannot("its rules", all.problem());
  for (auto [attribute, value] : {std::pair{SCMP_FLTATR_CTL_TSYNC, 1U},
                                  {SCMP_FLTATR_CTL_LOG, tells ? 1U : 0U},
                                  {SCMP_FLTATR_CTL_OPTIMIZE, 2U}})
    if (auto rc = ::seccomp_attr_set(made.get(), attribute, value); rc != 0)
      return cannot("its attributes", rc);
  if (auto rc = ::seccomp_load(made.get()); rc != 0)
    return cannot("loading it", rc);
  return {};
}

/// A filter of its own, since what happens for each thread that starts is not for the log.
result<void> without_clone3() {
  const context made{::seccomp_init(SCMP_ACT_ALLOW)};
  if (!made)
    return cannot("making it", -ENOMEM);
  rules one{made.get()};
  constexpr std::array unreadable{"clone3"};
  one.add(SCMP_ACT_ERRNO(ENOSYS), unreadable);
  return load(made, one, false);
}

} // namespace

result<void> install(const syscall_filter& filter) {
  if (!filter.what_is_unknown)
    if (auto done = without_clone3(); !done)
      return done;
  const context made{
    ::seccomp_init(filter.what_is_unknown ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM))};
  if (!made)
    return cannot("making it", -ENOMEM);
  rules all{made.get()};
  fill(all, filter);
  return load(made, all, true);
}

} // namespace marchproxy::privileges

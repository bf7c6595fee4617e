// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

namespace marchproxy::privileges {

/// Which system calls a process goes on with. Each has what all need: reading files, memory,
/// threads, clocks, sockets.
struct syscall_filter {
  bool writes_files = true;
  bool connects = true;  ///< or accepts
  bool io_uring = false; ///< its three calls
  /// bpf() on descriptors that the process has: reading and writing maps, test runs. No map and no
  /// program can be made.
  bool bpf_by_descriptor = false;
  bool bpf = false;            ///< all of bpf()
  bool packet_sockets = false; ///< AF_XDP and AF_PACKET, and any ioctl
  bool children = false;       ///< starts programs: fork and execve, and signals to others
  /// What is not listed is let through too, except what is deadly or would change who the process
  /// is. For libraries whose drivers call
  /// what nobody here has seen (DPDK).
  bool what_is_unknown = false;
};

/// From now on every thread of this process, and what it executes, is under the filter. A call that
/// is not listed fails with EPERM, and the kernel logs it where it audits (`type=1326`). Calls that
/// nothing but an intruder makes end the process: execve, ptrace, mount, namespaces, modules,
/// kexec and the like. clone3 fails with ENOSYS, so that the C library makes threads by
/// clone, whose flags a filter can read.
///
/// It takes no_new_privs (keep_only()), and cannot be undone.
/// @errors unsupported with the kernel's reason
[[nodiscard]] result<void> install(const syscall_filter& filter);

} // namespace marchproxy::privileges

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/privileges/syscalls.hpp"

#include <array>

namespace marchproxy::privileges::syscalls {

namespace {

constexpr std::array all_files{"stat",
                               "fstat",
                               "lstat",
                               "newfstatat",
                               "statx",
                               "statfs",
                               "fstatfs",
                               "access",
                               "faccessat",
                               "faccessat2",
                               "readlink",
                               "readlinkat",
                               "getdents",
                               "getdents64",
                               "getcwd",
                               "chdir",
                               "inotify_init1",
                               "inotify_add_watch",
                               "inotify_rm_watch"};

constexpr std::array all_files_written{
  "open", "openat", "mkdir", "mkdirat", "rmdir", "rename", "renameat", "renameat2", "unlink",
  "unlinkat", "chmod", "fchmod", "fchmodat", "umask", "utimensat", "fsync", "fdatasync",
  "fallocate", "ftruncate", "memfd_create",
  // SQLite gives what it makes as root the owner of the database.
  "fchown"};

constexpr std::array all_descriptors{"read",
                                     "write",
                                     "readv",
                                     "writev",
                                     "pread64",
                                     "pwrite64",
                                     "preadv",
                                     "pwritev",
                                     "preadv2",
                                     "pwritev2",
                                     "close",
                                     "close_range",
                                     "lseek",
                                     "dup",
                                     "dup2",
                                     "dup3",
                                     "fcntl",
                                     "pipe",
                                     "pipe2",
                                     "splice",
                                     "tee",
                                     "sendfile",
                                     "eventfd2",
                                     "epoll_create1",
                                     "epoll_ctl",
                                     "epoll_wait",
                                     "epoll_pwait",
                                     "epoll_pwait2",
                                     "poll",
                                     "ppoll",
                                     "select",
                                     "pselect6",
                                     "timerfd_create",
                                     "timerfd_settime",
                                     "timerfd_gettime",
                                     "flock",
                                     "fadvise64"};

constexpr std::array all_memory{"mmap",  "munmap",  "mremap", "mprotect", "madvise", "brk",
                                "msync", "mincore", "mlock",  "mlock2",   "munlock", "membarrier"};

constexpr std::array all_threads{"futex",
                                 "futex_waitv",
                                 "set_robust_list",
                                 "get_robust_list",
                                 "rseq",
                                 "set_tid_address",
                                 "exit",
                                 "exit_group",
                                 "sched_yield",
                                 "sched_getaffinity",
                                 "sched_setaffinity",
                                 "sched_getparam",
                                 "sched_getscheduler",
                                 "sched_get_priority_max",
                                 "sched_get_priority_min",
                                 "getcpu",
                                 "gettid",
                                 "arch_prctl"};

constexpr std::array all_signals_and_time{
  "rt_sigaction",  "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
  "rt_sigpending", "rt_sigsuspend",  "sigaltstack",  "restart_syscall",
  "pause",         "clock_gettime",  "clock_getres", "clock_nanosleep",
  "nanosleep",     "gettimeofday",   "time",         "times"};

constexpr std::array all_sockets{"bind",       "listen",   "getsockname", "setsockopt",
                                 "getsockopt", "sendto",   "recvfrom",    "sendmsg",
                                 "recvmsg",    "shutdown", "socketpair"};

constexpr std::array all_connections{"connect",     "accept",   "accept4",
                                     "getpeername", "sendmmsg", "recvmmsg"};

constexpr std::array all_itself{"getpid",    "getppid",   "getuid",    "geteuid",   "getgid",
                                "getegid",   "getresuid", "getresgid", "getpgrp",   "getpgid",
                                "getrlimit", "setrlimit", "prlimit64", "getrusage", "uname",
                                "sysinfo",   "getrandom", "capget",    "wait4",     "waitid"};

constexpr std::array all_children{"fork", "vfork", "clone", "execve", "setpgid", "setsid", "kill"};

// Nothing that MarchProxy or its libraries do: who calls them is somebody else.
constexpr std::array all_deadly{"execveat",
                                "process_vm_readv",
                                "process_vm_writev",
                                "kcmp",
                                "mount",
                                "umount2",
                                "move_mount",
                                "open_tree",
                                "fsopen",
                                "fsmount",
                                "fsconfig",
                                "fspick",
                                "mount_setattr",
                                "pivot_root",
                                "chroot",
                                "setns",
                                "unshare",
                                "init_module",
                                "finit_module",
                                "delete_module",
                                "kexec_load",
                                "kexec_file_load",
                                "reboot",
                                "swapon",
                                "swapoff",
                                "open_by_handle_at",
                                "acct",
                                "quotactl",
                                "settimeofday",
                                "clock_settime",
                                "adjtimex",
                                "clock_adjtime",
                                "mknod",
                                "mknodat"};

// What a library may try before it does without, such as Kerberos behind PostgreSQL's.
constexpr std::array all_refused{"keyctl",          "add_key",  "request_key", "userfaultfd",
                                 "perf_event_open", "capset",   "setuid",      "setgid",
                                 "setreuid",        "setregid", "setresuid",   "setresgid",
                                 "setgroups",       "setfsuid", "setfsgid"};

} // namespace

std::span<const char* const> files() noexcept {
  return all_files;
}
std::span<const char* const> descriptors() noexcept {
  return all_descriptors;
}
std::span<const char* const> files_written() noexcept {
  return all_files_written;
}
std::span<const char* const> connections() noexcept {
  return all_connections;
}
std::span<const char* const> memory() noexcept {
  return all_memory;
}
std::span<const char* const> threads() noexcept {
  return all_threads;
}
std::span<const char* const> signals_and_time() noexcept {
  return all_signals_and_time;
}
std::span<const char* const> sockets() noexcept {
  return all_sockets;
}
std::span<const char* const> itself() noexcept {
  return all_itself;
}
std::span<const char* const> children() noexcept {
  return all_children;
}
std::span<const char* const> refused() noexcept {
  return all_refused;
}
std::span<const char* const> deadly() noexcept {
  return all_deadly;
}

} // namespace marchproxy::privileges::syscalls

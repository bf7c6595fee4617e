// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/privileges/syscall_filter.hpp"

#include "nodes/privileges/capabilities.hpp"
#include "nodes/privileges/child.test.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <vector>

namespace marchproxy::privileges {
namespace {

using testing::in_child;

const std::string killed = "signal " + std::to_string(SIGSYS);

/// What @p action ends with under a filter, capabilities kept so that only the filter refuses.
template <class Action>
std::string filtered(const syscall_filter& filter, Action action) {
  return in_child([&] {
    if (!keep_only(~capability_set{0}) || !install(filter))
      return 100;
    return action();
  });
}

/// 0 when the last call was refused with EPERM.
int refused(long returned) {
  return returned < 0 && errno == EPERM ? 0 : 1;
}

int worked(long returned) {
  return returned >= 0 ? 0 : 1;
}

long make_map() {
  bpf_attr a{};
  a.map_type = BPF_MAP_TYPE_ARRAY;
  a.key_size = a.value_size = 4;
  a.max_entries = 1;
  return ::syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof a);
}

int execute() {
  char name[] = "/bin/true";
  char* const arguments[] = {&name[0], nullptr};
  ::execve(&name[0], &arguments[0], nullptr);
  return 1;
}

TEST(syscall_filter, is_in_force_by_what_the_kernel_says) {
  EXPECT_EQ(filtered({},
                     [] {
                       auto now = of_process();
                       return now && now->filtered && now->no_new_privileges ? 0 : 1;
                     }),
            "0");
}

TEST(syscall_filter, is_in_force_for_threads_that_run_already) {
  EXPECT_EQ(in_child([] {
              std::atomic<bool> go{false};
              int out = 100;
              std::thread other{[&] {
                go.wait(false);
                out = refused(::syscall(SYS_sethostname, "x", 1));
              }};
              if (!keep_only(0) || !install({}))
                return 101;
              go = true;
              go.notify_one();
              other.join();
              return out;
            }),
            "0");
}

TEST(syscall_filter, ends_who_executes_a_program) {
  EXPECT_EQ(filtered({}, execute), killed);
  EXPECT_EQ(filtered({.what_is_unknown = true}, execute), killed);
  EXPECT_EQ(filtered({.children = true}, execute), "0") << "where it may: /bin/true";
}

TEST(syscall_filter, ends_who_traces_mounts_or_leaves_its_namespace) {
#if !defined(__SANITIZE_ADDRESS__) // which traces to find leaks
  EXPECT_EQ(filtered({}, [] { return worked(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }),
            killed);
#endif
  EXPECT_EQ(filtered({}, [] { return worked(::mount("x", "/mnt", "tmpfs", 0, nullptr)); }), killed);
  EXPECT_EQ(filtered({}, [] { return worked(::unshare(CLONE_NEWNET)); }), killed);
  EXPECT_EQ(filtered({}, [] { return worked(::syscall(SYS_init_module, nullptr, 0, "")); }),
            killed);
}

TEST(syscall_filter, refuses_keys_and_other_users_whatever_else_is_let_through) {
  for (const syscall_filter& each : {syscall_filter{}, syscall_filter{.what_is_unknown = true}}) {
    EXPECT_EQ(filtered(each, [] { return refused(::syscall(SYS_keyctl, 0, -3, 0)); }), "0");
    EXPECT_EQ(filtered(each, [] { return refused(::setuid(1)); }), "0");
  }
}

TEST(syscall_filter, refuses_another_process_and_lets_threads_be) {
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_EQ(filtered({}, [] { return refused(::fork()); }), "0");
#endif
  EXPECT_EQ(filtered({},
                     [] {
                       int out = 1;
                       std::thread{[&] { out = 0; }}.join();
                       return out;
                     }),
            "0");
}

TEST(syscall_filter, refuses_raw_and_packet_sockets_and_lets_others_be) {
  EXPECT_EQ(filtered({}, [] { return refused(::socket(AF_PACKET, SOCK_RAW, 0)); }), "0");
  EXPECT_EQ(filtered({}, [] { return refused(::socket(AF_XDP, SOCK_RAW, 0)); }), "0");
  EXPECT_EQ(filtered({}, [] { return refused(::socket(AF_VSOCK, SOCK_STREAM, 0)); }), "0");
  for (auto family : {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK})
    EXPECT_EQ(filtered({}, [&] { return worked(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }),
              "0")
      << family;
}

TEST(syscall_filter, refuses_signals_to_other_processes) {
  const auto parent = ::getpid();
  EXPECT_EQ(filtered({}, [&] { return refused(::kill(parent, 0)); }), "0");
  EXPECT_EQ(filtered({}, [] { return worked(::kill(::getpid(), 0)); }), "0");
  EXPECT_EQ(filtered({.children = true}, [&] { return worked(::kill(parent, 0)); }), "0");
}

TEST(syscall_filter, can_leave_files_to_be_read_only) {
  const syscall_filter reading{.writes_files = false};
  EXPECT_EQ(filtered(reading, [] { return worked(::open("/dev/null", O_RDONLY)); }), "0");
  EXPECT_EQ(filtered(reading, [] { return refused(::open("/dev/null", O_WRONLY)); }), "0");
  EXPECT_EQ(filtered(reading, [] { return refused(::unlink("/nowhere/at/all")); }), "0");
  EXPECT_EQ(filtered({}, [] { return worked(::open("/dev/null", O_WRONLY)); }), "0");
}

TEST(syscall_filter, can_leave_connections_out) {
  const auto connect = [] {
    const auto fd = ::socket(AF_INET, SOCK_DGRAM, 0);
    const sockaddr_in to{.sin_family = AF_INET, .sin_port = 9, .sin_addr = {}, .sin_zero = {}};
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  };
  EXPECT_EQ(filtered({.connects = false}, [&] { return refused(connect()); }), "0");
  EXPECT_EQ(filtered({}, [&] { return worked(connect()); }), "0");
}

TEST(syscall_filter, refuses_what_types_into_a_terminal) {
  EXPECT_EQ(filtered({}, [] { return refused(::ioctl(0, TIOCSTI, "x")); }), "0");
}

TEST(syscall_filter, refuses_new_maps_and_programs_even_where_descriptors_may_be_used) {
  EXPECT_EQ(filtered({}, [] { return refused(make_map()); }), "0");
  EXPECT_EQ(filtered({.bpf_by_descriptor = true}, [] { return refused(make_map()); }), "0");
  EXPECT_EQ(filtered({.bpf_by_descriptor = true},
                     [] {
                       bpf_attr a{};
                       a.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
                       return refused(::syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof a));
                     }),
            "0");
}

TEST(syscall_filter, lets_a_map_be_written_by_its_descriptor) {
  const auto map = make_map();
  if (map < 0)
    GTEST_SKIP() << "no map can be made here";
  auto write = [&] {
    std::uint32_t key = 0;
    std::uint32_t value = 7;
    bpf_attr a{};
    a.map_fd = static_cast<std::uint32_t>(map);
    a.key = reinterpret_cast<std::uintptr_t>(&key);
    a.value = reinterpret_cast<std::uintptr_t>(&value);
    return ::syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &a, sizeof a);
  };
  EXPECT_EQ(in_child([&] {
              if (!keep_only(0) || !install({.bpf_by_descriptor = true}))
                return 100;
              return worked(write());
            }),
            "0");
  EXPECT_EQ(filtered({}, [&] { return refused(write()); }), "0");
  ::close(static_cast<int>(map));
}

TEST(syscall_filter, refuses_io_uring_unless_it_is_asked_for) {
  std::vector<std::byte> parameters(120);
  auto set_up = [&] { return ::syscall(SYS_io_uring_setup, 1, parameters.data()); };
  EXPECT_EQ(filtered({}, [&] { return refused(set_up()); }), "0");
  if (in_child([&] { return worked(set_up()); }) != "0")
    GTEST_SKIP() << "this kernel refuses io_uring itself";
  EXPECT_EQ(filtered({.io_uring = true}, [&] { return worked(set_up()); }), "0");
}

} // namespace
} // namespace marchproxy::privileges

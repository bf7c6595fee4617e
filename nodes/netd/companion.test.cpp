// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/netd/companion.hpp"

#include "nodes/netd/remote_sockets.hpp"
#include "tests/support/needs_rights.hpp"

#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

namespace marchproxy::netd {
namespace {

/// A field of /proc/<pid>/status.
std::string field(pid_t pid, const std::string& name) {
  std::ifstream status{"/proc/" + std::to_string(pid) + "/status"};
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(name + ":\t"))
      return line.substr(name.size() + 2);
  return "none";
}

/// As the kernel writes them there.
std::string hex(privileges::capability_set set) {
  std::array<char, 17> out{};
  std::snprintf(out.data(), out.size(), "%016llx", static_cast<unsigned long long>(set));
  return out.data();
}

TEST(companion, has_the_capabilities_of_its_tasks_and_no_others) {
  const tasks wanted{.low_ports = true};
  if (possible(wanted) != wanted)
    MP_NEEDS_RIGHTS("it takes " + privileges::names(capabilities_for(wanted)));
  auto started = companion::start(MP_NETD, wanted);
  ASSERT_TRUE(started) << to_string(started.error());
  const auto pid = (*started)->pid();
  EXPECT_TRUE((*started)->alive());
  for (const auto* set : {"CapEff", "CapPrm", "CapBnd"})
    EXPECT_EQ(field(pid, set), hex(capabilities_for(wanted))) << set;
  for (const auto* set : {"CapInh", "CapAmb"})
    EXPECT_EQ(field(pid, set), hex(0)) << set;
  EXPECT_EQ(field(pid, "NoNewPrivs"), "1");
  EXPECT_EQ(field(pid, "Seccomp"), "2");
  EXPECT_FALSE((*started)->packets());
  std::ifstream environment{"/proc/" + std::to_string(pid) + "/environ"};
  EXPECT_EQ(environment.peek(), std::ifstream::traits_type::eof()) << "the proxy's secrets";
  auto sockets = remote_sockets((*started)->sockets());
  EXPECT_TRUE(sockets->bind_udp({ip_address::v4(0x7f000001), 0}, {}));
}

TEST(companion, keeps_what_the_packet_programs_take_and_not_what_it_looks_with) {
  const tasks wanted{.packets = true};
  if (possible(wanted) != wanted)
    MP_NEEDS_RIGHTS("it takes " + privileges::names(capabilities_for(wanted)));
  auto started = companion::start(MP_NETD, wanted);
  ASSERT_TRUE(started) << to_string(started.error());
  for (const auto* set : {"CapEff", "CapPrm", "CapBnd"})
    EXPECT_EQ(field((*started)->pid(), set),
              hex(privileges::of(CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN)))
      << set;
  EXPECT_EQ(field((*started)->pid(), "Seccomp"), "2");
  EXPECT_FALSE((*started)->sockets());
}

TEST(companion, ends_with_who_started_it_and_not_by_a_signal_to_both) {
  const tasks wanted{.low_ports = true};
  if (possible(wanted) != wanted)
    MP_NEEDS_RIGHTS("it takes " + privileges::names(capabilities_for(wanted)));
  auto started = companion::start(MP_NETD, wanted);
  ASSERT_TRUE(started) << to_string(started.error());
  const auto pid = (*started)->pid();
  for (auto signal : {SIGTERM, SIGINT, SIGHUP})
    ASSERT_EQ(::kill(pid, signal), 0);
  EXPECT_TRUE((*started)->sockets()->ask(widen_receive_buffer{1}).error().code == errc::refused)
    << "it answers still";
  started->reset();
  EXPECT_EQ(::kill(pid, 0), -1) << "it is gone, and was waited for";
}

TEST(companion, that_was_killed_is_known_to_be_gone) {
  const tasks wanted{.low_ports = true};
  if (possible(wanted) != wanted)
    MP_NEEDS_RIGHTS("it takes " + privileges::names(capabilities_for(wanted)));
  auto started = companion::start(MP_NETD, wanted);
  ASSERT_TRUE(started) << to_string(started.error());
  ASSERT_EQ(::kill((*started)->pid(), SIGKILL), 0);
  EXPECT_EQ((*started)->sockets()->ask(widen_receive_buffer{1}).error().code, errc::unavailable);
  while ((*started)->alive()) // the channel closes a moment before the process is gone
    std::this_thread::yield();
  EXPECT_EQ(::kill((*started)->pid(), 0), -1);
}

TEST(companion, a_program_that_is_not_there_is_told) {
  const tasks wanted{.low_ports = true};
  auto started = companion::start("/nowhere/marchproxy-netd", wanted);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, errc::unavailable);
  EXPECT_NE(started.error().message.find("does not start"), std::string::npos);
}

} // namespace
} // namespace marchproxy::netd

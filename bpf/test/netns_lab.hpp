// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// client -- router -- server: three network namespaces, made by the test and removed with it.

#include "bpf/loader/descriptor.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

namespace marchproxy::tier_ebpf::testing {

class netns_lab {
public:
  static constexpr const char* client4 = "10.9.1.2";
  static constexpr const char* server4 = "10.9.2.2";
  static constexpr const char* router4 = "10.9.1.1";
  static constexpr const char* client6 = "2001:db8:91::2";
  static constexpr const char* server6 = "2001:db8:92::2";

  netns_lab() {
    static int count = 0;
    auto prefix = "mp" + std::to_string(::getpid()) + "n" + std::to_string(++count);
    client = prefix + "c";
    router = prefix + "r";
    server = prefix + "s";
    for (const auto& name : {client, router, server})
      ip("netns add " + name);
    link(client, "10.9.1", "2001:db8:91", "rc");
    link(server, "10.9.2", "2001:db8:92", "rs");
    for (const auto* file : {"ipv4/ip_forward", "ipv6/conf/all/forwarding"})
      ip("netns exec " + router + " sh -c 'echo 1 > /proc/sys/net/" + file + "'");
  }
  netns_lab(const netns_lab&) = delete;
  netns_lab& operator=(const netns_lab&) = delete;
  ~netns_lab() {
    for (const auto& name : {client, router, server})
      ip("netns del " + name);
  }

  /// Runs @p work on a thread of its own inside the namespace.
  static void inside(const std::string& name, const std::function<void()>& work) {
    std::thread{[&] {
      descriptor place{::open(("/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC)};
      if (!place || ::setns(place.get(), CLONE_NEWNET) != 0)
        ADD_FAILURE() << "cannot enter " << name;
      else
        work();
    }}.join();
  }

  static void ip(const std::string& arguments) {
    EXPECT_EQ(std::system(("ip " + arguments).c_str()), 0) << "ip " << arguments;
  }

  std::string client;
  std::string router;
  std::string server;

private:
  /// One cable from the router to @p end, with addresses .1 and .2, ::1 and ::2.
  void link(const std::string& end,
            const std::string& net4,
            const std::string& net6,
            const std::string& port) const {
    ip("link add " + port + " netns " + router + " type veth peer name eth netns " + end);
    auto address = [&](const std::string& where, const std::string& device,
                       const std::string& host) {
      ip("-n " + where + " address add " + net4 + "." + host + "/24 dev " + device);
      ip("-n " + where + " address add " + net6 + "::" + host + "/64 dev " + device + " nodad");
      ip("-n " + where + " link set " + device + " up");
    };
    address(router, port, "1");
    address(end, "eth", "2");
    ip("-n " + end + " route add default via " + net4 + ".1");
    ip("-n " + end + " -6 route add default via " + net6 + "::1");
  }
};

} // namespace marchproxy::tier_ebpf::testing

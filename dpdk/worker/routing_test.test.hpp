// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/loader/probe_frame.hpp"
#include "dpdk/worker/kernel_follower.hpp"
#include "dpdk/worker/port_lab.test.hpp"
#include "dpdk/worker/switching.test.hpp"

#include <gtest/gtest.h>

#include <linux/errqueue.h>
#include <linux/if_packet.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace marchproxy::packet_worker::testing {

/// The router of port_lab by a packet worker, whatever its ports are.
class routing_test : public ::testing::Test {
protected:
  void SetUp() override {
    if (tier_ebpf::testing::privileged())
      lab_ = std::make_unique<port_lab>();
  }
  void TearDown() override {
    if (!lab_)
      return;
    lab_->inside(lab_->router, [this] {
      follower_.reset();
      pool_.reset();
      close_ports();
    });
  }

  // In the router's namespace.
  virtual void open_ports() = 0;
  virtual void close_ports() = 0;
  /// When the worker turns: frames may come.
  virtual void attach() {}
  [[nodiscard]] virtual result<void> set_own(std::span<const ip_address>) { return {}; }
  [[nodiscard]] virtual std::vector<packet_port::port*> ports() const = 0;
  [[nodiscard]] virtual std::vector<int> indices() const = 0;

  void route(const tier_ebpf::testing::book& b) {
    lab_->inside(lab_->router, [&] {
      ASSERT_NO_FATAL_FAILURE(open_ports());
      pool_ = std::make_unique<pool>(pool_options{.connections = 65'536},
                                     std::vector<std::vector<packet_port::port*>>{ports()});
      auto follower = kernel_follower::start(
        *pool_, indices(), [this](std::span<const ip_address> own) { return set_own(own); });
      ASSERT_TRUE(follower) << marchproxy::to_string(follower.error());
      follower_ = std::move(*follower);
      ASSERT_TRUE(pool_->prepare(b.compile()));
      ASSERT_TRUE(pool_->commit());
      pool_->start();
      attach();
    });
  }

  /// With port_lab's policy in force: what it allows gets through, both ways and in both families,
  /// what it does not is refused, the node's own stack answers, and the counters say so.
  void expect_policy();

  /// Every datagram that a client sends arrives, and is counted once, with its bytes.
  void expect_exact_counters(std::uint64_t datagrams);
  /// What the worker cannot do by itself, the kernel does: ICMP errors for hop limit and size come
  /// back to the client.
  void expect_errors_from_the_kernel();
  /// Under packets as fast as they go, no report is of a mix of two revisions.
  void expect_whole_switches(std::uint64_t least);

  /// The worker shows its counters when a burst has been sent: what they have to become.
  template <class Condition>
  static void await(Condition holds) {
    auto deadline = std::chrono::steady_clock::now() + tier_ebpf::testing::long_enough;
    while (!holds() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
  }

  std::unique_ptr<port_lab> lab_;
  std::unique_ptr<pool> pool_;
  std::unique_ptr<kernel_follower> follower_;
};

inline void routing_test::expect_policy() {
  using namespace tier_ebpf::testing;
  std::vector<tier_ebpf::descriptor> kept_open;
  for (auto* o : lab_->both()) {
    auto out = lab_->dial_from_client(o->server, port_of(o->open), SOCK_STREAM, long_enough);
    ASSERT_TRUE(out) << o->server;
    auto in = answer(o->open);
    ASSERT_TRUE(say(out, 'a'));
    EXPECT_EQ(hear(in, long_enough), 'a');
    ASSERT_TRUE(say(in, 'b'));
    EXPECT_EQ(hear(out, long_enough), 'b');

    EXPECT_FALSE(lab_->reaches(*o, o->closed, refused_after)) << o->server;

    auto datagrams =
      lab_->dial_from_client(o->server, port_of(o->datagrams), SOCK_DGRAM, long_enough);
    ASSERT_TRUE(say(datagrams, 'c'));
    EXPECT_TRUE(echo_once(o->datagrams, long_enough));
    EXPECT_EQ(hear(datagrams, long_enough), 'c');
    kept_open.push_back(std::move(out));
    kept_open.push_back(std::move(in));
  }
  int problem = 0;
  lab_->dial_from_client(netns_lab::router4, 9, SOCK_STREAM, long_enough, &problem);
  EXPECT_EQ(problem, ECONNREFUSED) << "the node's own stack answers";

  auto totals = tier_ebpf::by_name(pool_->totals());
  EXPECT_EQ(totals["new_flows"], 4u);
  EXPECT_GE(totals["denied_implicit"], 2u);
  EXPECT_EQ(totals["malformed"], 0u);
  auto ways = pool_->ways();
  EXPECT_GE(ways.at(way::forwarded), 4u);
  EXPECT_GE(ways.at(way::kernel_neighbour), 1u)
    << "the first packets, before the neighbour is known";
  EXPECT_EQ(ways.at(way::forwarded) + ways.at(way::kernel_neighbour),
            totals["allowed"] + totals["passed_icmp_error"]);
  EXPECT_EQ(ways.at(way::kernel_lost) + ways.at(way::send_full) + ways.at(way::other_host), 0u);
  auto mappings = pool_->mapping_counters();
  for (std::uint64_t id = 1; id <= 4; ++id)
    EXPECT_EQ(mappings.at(mapping_id{id}).flows, 1u);
  EXPECT_EQ(follower_->failures(), 0u);
}

inline void routing_test::expect_exact_counters(std::uint64_t datagrams) {
  using namespace tier_ebpf::testing;
  constexpr std::uint64_t window = 50; // in flight, so that no queue overflows
  auto& to = lab_->v4;
  auto out = lab_->dial_from_client(to.server, port_of(to.datagrams), SOCK_DGRAM, long_enough);
  ASSERT_TRUE(out);
  std::uint64_t arrived = 0;
  for (std::uint64_t sent = 0; sent < datagrams;) {
    for (std::uint64_t i = 0; i < window; ++i, ++sent)
      ASSERT_TRUE(say(out, 'x'));
    while (arrived < sent && hear(to.datagrams, long_enough) == 'x')
      ++arrived;
    ASSERT_EQ(arrived, sent);
  }
  await([&] { return pool_->totals().value[MP_TOTAL_allowed] >= datagrams; });
  auto counters = pool_->mapping_counters().at(mapping_id{2});
  EXPECT_EQ(counters.packets, datagrams);
  EXPECT_EQ(counters.bytes, datagrams * (14 + 20 + 8 + 1));
  EXPECT_EQ(counters.flows, 1u);
  auto totals = tier_ebpf::by_name(pool_->totals());
  EXPECT_EQ(totals["allowed"], datagrams);
  EXPECT_EQ(totals["tracked_hits"], datagrams - 1);
  auto ways = pool_->ways();
  EXPECT_EQ(ways.at(way::forwarded) + ways.at(way::kernel_neighbour), datagrams);
  EXPECT_EQ(pool_->connections_now(), 1u);
}

inline void routing_test::expect_errors_from_the_kernel() {
  using namespace tier_ebpf::testing;
  // What the first message of the socket's error queue is about.
  auto problem_of = [](const tier_ebpf::descriptor& socket) -> std::uint32_t {
    std::array<char, 2048> payload{};
    alignas(cmsghdr) std::array<char, 512> control{};
    iovec into{payload.data(), payload.size()};
    msghdr message{};
    message.msg_iov = &into;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (!ready(socket, 0, long_enough) || ::recvmsg(socket.get(), &message, MSG_ERRQUEUE) < 0)
      return 0;
    sock_extended_err out{};
    std::memcpy(&out, control.data() + CMSG_LEN(0), sizeof out);
    return out.ee_errno;
  };
  for (auto* o : lab_->both()) {
    auto v4 = o == &lab_->v4;
    auto set = [&](const tier_ebpf::descriptor& socket, int option4, int option6, int value) {
      ::setsockopt(socket.get(), v4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6}, v4 ? option4 : option6,
                   &value, sizeof value);
    };
    auto out = lab_->dial_from_client(o->server, port_of(o->datagrams), SOCK_DGRAM, long_enough);
    auto forwarded = pool_->ways().at(way::forwarded);
    while (pool_->ways().at(way::forwarded) == forwarded) { // until the next hop is known
      ASSERT_TRUE(say(out, 'c'));
      ASSERT_EQ(hear(o->datagrams, long_enough), 'c');
    }
    set(out, IP_RECVERR, IPV6_RECVERR, 1);
    set(out, IP_TTL, IPV6_UNICAST_HOPS, 1);
    ASSERT_TRUE(say(out, 'h'));
    EXPECT_EQ(problem_of(out), std::uint32_t{EHOSTUNREACH}) << "time exceeded";
    set(out, IP_TTL, IPV6_UNICAST_HOPS, 64);
    set(out, IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IP_PMTUDISC_DO);
    const std::vector<char> longer(1'400);
    ASSERT_EQ(::send(out.get(), longer.data(), longer.size(), 0), 1'400);
    EXPECT_EQ(problem_of(out), std::uint32_t{EMSGSIZE}) << "packet too big";
  }
  await([&] { return pool_->ways().at(way::kernel_size) == 2; });
  EXPECT_EQ(pool_->ways().at(way::kernel_hop_limit), 2u);
  EXPECT_EQ(pool_->ways().at(way::kernel_size), 2u);
  EXPECT_EQ(pool_->ways().at(way::kernel_lost), 0u);
}

inline void routing_test::expect_whole_switches(std::uint64_t least) {
  using namespace tier_ebpf::testing;
  lab_->ip("-n " + lab_->router + " route add 8.0.0.0/8 via 10.9.2.2");
  ASSERT_TRUE(pool_->prepare(parity_policy(1)) && pool_->commit());
  std::array<std::uint8_t, 6> router_mac{};
  lab_->inside(lab_->router, [&] {
    auto view = forwarding::read_kernel();
    ASSERT_TRUE(view);
    for (const auto& l : view->links)
      if (l.ifindex == indices().front())
        router_mac = l.address;
  });
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> sent = 0;
  std::thread sending{[&] {
    lab_->inside(lab_->client, [&] {
      tier_ebpf::descriptor raw{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};
      sockaddr_ll at{};
      at.sll_family = AF_PACKET;
      at.sll_ifindex = static_cast<int>(::if_nametoindex("eth"));
      for (unsigned i = 0; !stop; ++i) {
        auto frame = *tier_ebpf::first_frame(parity_flow(i % 4'000));
        std::memcpy(frame.bytes.data(), router_mac.data(), router_mac.size());
        if (::sendto(raw.get(), frame.bytes.data(), frame.size, 0,
                     reinterpret_cast<const sockaddr*>(&at), sizeof at)
            > 0)
          ++sent;
      }
    });
  }};
  switching s;
  s.run(*pool_, least);
  stop = true;
  sending.join();
  s.drain(*pool_);
  EXPECT_EQ(s.failed, 0u);
  EXPECT_EQ(s.mixed, 0u);
  RecordProperty("switches", std::to_string(s.switches));
  RecordProperty("sent", std::to_string(sent));
  RecordProperty("judged", std::to_string(pool_->totals().value[MP_TOTAL_packets]));
  RecordProperty("reported", std::to_string(s.reported));
}

} // namespace marchproxy::packet_worker::testing

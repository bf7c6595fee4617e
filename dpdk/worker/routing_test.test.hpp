// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/worker/kernel_follower.hpp"
#include "dpdk/worker/port_lab.test.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <span>
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
  virtual result<void> set_own(std::span<const ip_address>) { return {}; }
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

} // namespace marchproxy::packet_worker::testing

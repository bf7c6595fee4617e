// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/af_xdp/interfaces.hpp"
#include "dpdk/worker/routing_test.test.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace marchproxy::af_xdp::testing {
namespace {

using packet_worker::way;

/// The router's two cables by AF_XDP.
class af_xdp : public packet_worker::testing::routing_test {
protected:
  void open_ports() override {
    const std::array<std::string, 2> names{"rc", "rs"};
    auto opened = interfaces::open(names);
    ASSERT_TRUE(opened) << marchproxy::to_string(opened.error());
    cards_ = std::move(*opened);
  }
  void close_ports() override { cards_.reset(); }
  void attach() override {
    auto attached = cards_->attach();
    ASSERT_TRUE(attached) << marchproxy::to_string(attached.error());
  }
  result<void> set_own(std::span<const ip_address> own) override { return cards_->set_own(own); }
  [[nodiscard]] std::vector<packet_port::port*> ports() const override { return cards_->ports(); }
  [[nodiscard]] std::vector<int> indices() const override { return cards_->indices(); }

  std::unique_ptr<interfaces> cards_;
};

TEST_F(af_xdp, routes_what_the_policy_allows_and_nothing_else) {
  if (!lab_)
    return;
  route(lab_->policy_of(5));
  ASSERT_TRUE(pool_);
  expect_policy();
  auto totals = tier_ebpf::by_name(pool_->totals());
  EXPECT_EQ(totals["passed_local"] + totals["passed_link"], 0u) << "the kernel kept these";
}

TEST_F(af_xdp, counts_each_packet_once) {
  if (!lab_)
    return;
  route(lab_->policy_of(5));
  ASSERT_TRUE(pool_);
  expect_exact_counters(5'000);
}

TEST_F(af_xdp, leaves_to_the_kernel_what_only_it_can_do) {
  if (!lab_)
    return;
  lab_->ip("-n " + lab_->router + " link set rs mtu 1300");
  route(lab_->policy_of(5));
  ASSERT_TRUE(pool_);
  expect_errors_from_the_kernel();
}

TEST_F(af_xdp, switches_all_at_once_under_packets_as_fast_as_they_go) {
  if (!lab_)
    return;
  route(lab_->policy_of(5));
  ASSERT_TRUE(pool_);
  expect_whole_switches(1'000);
}

} // namespace
} // namespace marchproxy::af_xdp::testing

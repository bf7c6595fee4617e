// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/ethdev/device_port.hpp"
#include "dpdk/ethdev/environment.hpp"
#include "dpdk/worker/kernel_follower.hpp"
#include "dpdk/worker/routing_test.test.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

namespace marchproxy::ethdev::testing {
namespace {

TEST(environment, is_started_with_no_device_that_was_not_listed) {
  auto has = [](const std::vector<std::string>& list, std::initializer_list<const char*> words) {
    return std::search(list.begin(), list.end(), words.begin(), words.end()) != list.end();
  };
  auto none = arguments({}, 3, false);
  EXPECT_TRUE(has(none, {"--no-pci"}));
  EXPECT_TRUE(has(none, {"-l", "3"}));
  EXPECT_TRUE(has(none, {"--no-telemetry"}));
  EXPECT_TRUE(has(none, {"--no-huge", "--no-shconf"}));
  EXPECT_FALSE(has(none, {"--in-memory"})) << "excludes --no-huge";
  auto some = arguments({.devices = {"0000:01:00.0", "0000:01:00.1"}, .memory_mib = 512}, 0, true);
  EXPECT_FALSE(has(some, {"--no-pci"}));
  EXPECT_TRUE(has(some, {"-a", "0000:01:00.0", "-a", "0000:01:00.1"}));
  EXPECT_TRUE(has(some, {"-m", "512"}));
  EXPECT_TRUE(has(some, {"--in-memory"}));
  EXPECT_FALSE(has(some, {"--no-huge"}));
}

/// The router's two cables by DPDK's af_packet driver, and a TAP device for each, which has the
/// addresses now.
class ethdev : public packet_worker::testing::routing_test {
protected:
  void open_ports() override {
    auto started = environment::start({});
    ASSERT_TRUE(started) << marchproxy::to_string(started.error());
    environment_ = *started;
    const std::array<std::string, 2> cables{"rc", "rs"};
    for (std::size_t i = 0; i < cables.size(); ++i)
      open_port(cables[i], "h" + cables[i], std::to_string(i));
  }
  void close_ports() override {
    ports_.clear();
    if (environment_ != nullptr) {
      EXPECT_EQ(environment_->buffers_in_use(), 0u) << "each has come back";
    }
  }
  [[nodiscard]] std::vector<packet_port::port*> ports() const override {
    std::vector<packet_port::port*> out;
    for (const auto& p : ports_)
      out.push_back(p.get());
    return out;
  }
  [[nodiscard]] std::vector<int> indices() const override { return indices_; }

private:
  void open_port(const std::string& cable, const std::string& stand_in, const std::string& number) {
    auto wire = device::open(
      *environment_,
      {.name = "net_af_packet" + number, .arguments = "iface=" + cable, .is_virtual = true});
    ASSERT_TRUE(wire) << marchproxy::to_string(wire.error());
    auto port = device_port::make(*environment_, std::move(*wire), stand_in);
    ASSERT_TRUE(port) << marchproxy::to_string(port.error());
    ports_.push_back(std::move(*port));
    indices_.push_back(static_cast<int>(::if_nametoindex(stand_in.c_str())));
    move_addresses(cable, stand_in);
  }
  /// The driver takes copies: the kernel's own must go nowhere.
  void move_addresses(const std::string& cable, const std::string& stand_in) {
    auto net = std::string{cable == "rc" ? "1" : "2"};
    auto in_router = "-n " + lab_->router + " ";
    lab_->ip(in_router + "address flush dev " + cable);
    auto nft = "netns exec " + lab_->router + " nft 'add ";
    lab_->ip(nft + "table netdev " + cable + "'");
    lab_->ip(nft + "chain netdev " + cable + " silence { type filter hook ingress device " + cable
             + " priority 0; policy drop; }'");
    lab_->ip(in_router + "address add 10.9." + net + ".1/24 dev " + stand_in);
    lab_->ip(in_router + "address add 2001:db8:9" + net + "::1/64 dev " + stand_in + " nodad");
    lab_->ip(in_router + "link set " + stand_in + " up");
  }

  environment* environment_ = nullptr;
  std::vector<std::unique_ptr<device_port>> ports_;
  std::vector<int> indices_;
};

TEST_F(ethdev, routes_what_the_policy_allows_and_nothing_else) {
  if (!lab_)
    return;
  route(lab_->policy_of(5));
  ASSERT_TRUE(pool_);
  expect_policy();
  auto totals = tier_ebpf::by_name(pool_->totals());
  EXPECT_GE(totals["passed_local"], 1u);
  EXPECT_GE(totals["passed_link"], 2u) << "ARP and neighbour discovery";
}

TEST_F(ethdev, counts_each_packet_once) {
  if (!lab_)
    return;
  route(lab_->policy_of(5));
  ASSERT_TRUE(pool_);
  expect_exact_counters(5'000);
}

TEST_F(ethdev, leaves_to_the_kernel_what_only_it_can_do) {
  if (!lab_)
    return;
  route(lab_->policy_of(5));
  lab_->ip("-n " + lab_->router + " link set hrs mtu 1300");
  ASSERT_TRUE(pool_);
  expect_errors_from_the_kernel();
}

TEST_F(ethdev, switches_all_at_once_under_packets_as_fast_as_they_go) {
  if (!lab_)
    return;
  route(lab_->policy_of(5));
  ASSERT_TRUE(pool_);
  expect_whole_switches(1'000);
}

} // namespace
} // namespace marchproxy::ethdev::testing

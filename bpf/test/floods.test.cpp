// SPDX-License-Identifier: AGPL-3.0-only
// What keeps connections in the tables while others flood them, and how many one source may hold.
#include "bpf/test/frames.hpp"
#include "bpf/test/tier_fixture.hpp"

#include <bpf/bpf.h>

namespace marchproxy::tier_ebpf::testing {
namespace {

constexpr const char* server = "8.8.8.8";
constexpr std::uint32_t of_source = 8;
constexpr std::uint32_t table = 4096;

std::string source(unsigned i) {
  return "10." + std::to_string(i >> 16 & 0xff) + "." + std::to_string(i >> 8 & 0xff) + "."
         + std::to_string(i & 0xff);
}

bytes segment(const std::string& from, unsigned flags, std::uint16_t port = 40000) {
  return ipv4({.from = from, .to = server}, tcp({.from = port, .to = 443, .flags = flags}));
}
bytes answer(const std::string& to, unsigned flags, std::uint16_t port = 40000) {
  return ipv4({.from = server, .to = to}, tcp({.from = 443, .to = port, .flags = flags}));
}
bytes datagram(const std::string& from) {
  return ipv4({.from = from, .to = server, .protocol = IPPROTO_UDP}, udp(5000, 53));
}
bytes datagram_back(const std::string& to) {
  return ipv4({.from = server, .to = to, .protocol = IPPROTO_UDP}, udp(53, 5000));
}

class floods : public tier_test {
protected:
  void SetUp() override {
    tier_test::SetUp();
    if (!tier_)
      return;
    auto small = tier::load({.connections = table, .connections_of_source = of_source});
    ASSERT_TRUE(small) << marchproxy::to_string(small.error());
    tier_ = std::move(*small);
    book b{5};
    b.map("10.0.0.0/8", "8.8.8.0/24");
    b.map("2001:db8::/32", "2001:db8:1::/48");
    put_in_force(b);
  }

  std::string open(const std::string& from, std::uint16_t port = 40000) {
    auto out = outcome(segment(from, syn, port));
    if (out == "allowed") {
      EXPECT_EQ(outcome(answer(from, syn | ack, port)), "allowed");
      EXPECT_EQ(outcome(segment(from, ack, port)), "allowed");
    }
    return out;
  }

  void flood(const std::function<bytes(const std::string&)>& frame) {
    for (unsigned i = 0; i < 4 * table; ++i)
      ASSERT_TRUE(tier_->run(frame(source(0x10000 + i))));
  }

  std::uint64_t total(mp_total which) { return tier_->totals().value[which]; }
};

TEST_F(floods, of_first_packets_leave_connections_of_two_ends_alone) {
  EXPECT_EQ(open("10.0.0.1"), "allowed");
  EXPECT_EQ(outcome(datagram("10.0.0.1")), "allowed");
  EXPECT_EQ(outcome(datagram_back("10.0.0.1")), "allowed");
  EXPECT_EQ(outcome(datagram("10.0.0.1")), "allowed");
  EXPECT_EQ(total(MP_TOTAL_confirmed), 2U);
  flood([](const auto& from) { return segment(from, syn); });
  flood(datagram);
  EXPECT_EQ(outcome(answer("10.0.0.1", ack)), "allowed") << "the server speaks first again";
  EXPECT_EQ(outcome(datagram_back("10.0.0.1")), "allowed");
  EXPECT_EQ(total(MP_TOTAL_confirmed), 2U);
  EXPECT_LE(tier_->connections(100'000).size(), table / 4 + 2) << "memory is bounded";
  EXPECT_GE(total(MP_TOTAL_new_flows), 8 * table);
}

TEST_F(floods, answered_to_sources_that_are_not_there_are_no_more) {
  EXPECT_EQ(open("10.0.0.1"), "allowed");
  for (unsigned i = 0; i < 4 * table; ++i) {
    auto from = source(0x10000 + i);
    ASSERT_TRUE(tier_->run(segment(from, syn)) && tier_->run(answer(from, syn | ack)));
  }
  EXPECT_EQ(total(MP_TOTAL_confirmed), 1U);
  EXPECT_EQ(outcome(answer("10.0.0.1", ack)), "allowed");
}

TEST_F(floods, of_one_source_end_where_it_holds_its_share) {
  for (std::uint16_t i = 0; i < of_source; ++i)
    EXPECT_EQ(open("10.0.0.1", static_cast<std::uint16_t>(40000 + i)), "allowed");
  EXPECT_EQ(open("10.0.0.1", 50000), "source_full");
  EXPECT_FALSE(passed_);
  EXPECT_EQ(open("10.0.0.2"), "allowed") << "others have theirs";
  EXPECT_EQ(outcome(answer("10.0.0.1", ack)), "allowed") << "what is open goes on";
  EXPECT_EQ(outcome(ipv6({.from = "2001:db8::1"}, tcp({}))), "allowed");
}

TEST_F(floods, sources_of_ipv6_are_networks) {
  for (unsigned i = 0; i < of_source; ++i) {
    auto from = "2001:db8:0:5::" + std::to_string(i + 1);
    EXPECT_EQ(outcome(ipv6({.from = from}, tcp({}))), "allowed");
    EXPECT_EQ(outcome(ipv6({.from = "2001:db8:1::8", .to = from},
                           tcp({.from = 443, .to = 40000, .flags = syn | ack}))),
              "allowed");
    EXPECT_EQ(outcome(ipv6({.from = from}, tcp({.flags = ack}))), "allowed");
  }
  EXPECT_EQ(outcome(ipv6({.from = "2001:db8:0:5::ffff"}, tcp({}))), "source_full");
  EXPECT_EQ(outcome(ipv6({.from = "2001:db8:0:6::1"}, tcp({}))), "allowed");
}

TEST_F(floods, a_sweep_removes_what_is_over_and_gives_sources_their_share_back) {
  for (std::uint16_t i = 0; i < of_source; ++i)
    open("10.0.0.1", static_cast<std::uint16_t>(40000 + i));
  EXPECT_EQ(open("10.0.0.1", 50000), "source_full");
  EXPECT_EQ(tier_->sweep().connections, of_source);
  EXPECT_EQ(open("10.0.0.1", 50000), "source_full") << "nothing is over yet";
  for (const auto& c : tier_->connections(100)) {
    auto abi = to_abi(c.tuple);
    mp_flow_key key{};
    mp_flow_key_of(&abi, &key);
    mp_flow flow{};
    ASSERT_EQ(bpf_map_lookup_elem(tier_->fds().flows, &key, &flow), 0);
    flow.last_seen -= MP_IDLE_ESTABLISHED + 1'000'000'000;
    ASSERT_EQ(bpf_map_update_elem(tier_->fds().flows, &key, &flow, BPF_EXIST), 0);
  }
  auto swept = tier_->sweep();
  EXPECT_EQ(swept.removed, of_source);
  EXPECT_EQ(swept.connections, 0U);
  EXPECT_TRUE(tier_->connections(100).empty());
  EXPECT_EQ(open("10.0.0.1", 50000), "allowed");
}

} // namespace
} // namespace marchproxy::tier_ebpf::testing

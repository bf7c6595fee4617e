// SPDX-License-Identifier: AGPL-3.0-only
// The XDP program on frames of test runs. The frames arrive at the loopback interface.
#include "bpf/test/frames.hpp"
#include "bpf/test/tier_fixture.hpp"

namespace marchproxy::tier_ebpf::testing {
namespace {

using model::mapping_action;

struct frame_case {
  const char* name;
  bytes frame;
  const char* outcome;
};

class xdp_packets : public tier_test {
protected:
  void SetUp() override {
    tier_test::SetUp();
    if (!tier_)
      return;
    auto loaded = tier_->load_xdp();
    ASSERT_TRUE(loaded) << marchproxy::to_string(loaded.error());
  }

  static book usual(std::uint64_t revision = 5) {
    book b{revision};
    b.map("10.0.0.0/8", "8.8.8.0/24");
    b.map("10.0.0.0/8", "8.8.8.66", mapping_action::deny);
    b.map("10.0.0.0/8", "8.8.8.77").auth_required = true;
    b.map("2001:db8::/32", "2001:db8:1::/48");
    return b;
  }

  /// The one outcome that a frame has at the XDP program.
  std::string xdp_outcome(std::span<const std::byte> frame) {
    auto before = tier_->xdp()->totals();
    auto ran = tier_->run_xdp(frame);
    EXPECT_TRUE(ran) << (ran ? "" : marchproxy::to_string(ran.error()));
    passed_ = ran && ran->passed;
    auto after = tier_->xdp()->totals();
    std::string out;
    for (std::size_t i = 0; i <= MP_LAST_OUTCOME; ++i)
      if (after.value[i] != before.value[i])
        out += (out.empty() ? "" : " and ") + std::string{text_of(static_cast<mp_total>(i)).name};
    return out;
  }

  void expect_all(const std::vector<frame_case>& cases) {
    for (const auto& c : cases) {
      EXPECT_EQ(xdp_outcome(c.frame), c.outcome) << c.name;
      EXPECT_EQ(passed_, std::string_view{c.outcome}.starts_with("passed")
                           || std::string_view{c.outcome} == "handed_on")
        << c.name;
    }
  }

  static bytes tagged(bytes frame, unsigned tags) {
    bytes tag;
    put16(tag, tags > 1 ? 0x88a8 : 0x8100);
    put16(tag, 100);
    for (; tags > 0; --tags) {
      frame.insert(frame.begin() + 12, tag.begin(), tag.end());
      tag[0] = std::byte{0x88};
      tag[1] = std::byte{0xa8};
    }
    return frame;
  }
};

TEST_F(xdp_packets, that_are_refused_end_here_and_others_go_on_to_tc) {
  expect_all({{"no policy", ipv4({}, tcp({})), "no_image"}});
  put_in_force(usual());
  auto arp = zeros(12);
  put16(arp, 0x0806);
  expect_all({
    {"first of a connection", ipv4({}, tcp({})), "handed_on"},
    {"first6", ipv6({}, tcp({})), "handed_on"},
    {"denied", ipv4({.to = "8.8.8.66"}, tcp({})), "denied_mapping"},
    {"no mapping", ipv4({.to = "9.9.9.9"}, tcp({})), "denied_implicit"},
    {"credentials", ipv4({.to = "8.8.8.77"}, tcp({})), "denied_auth"},
    {"no mapping6", ipv6({.to = "2001:db9::1"}, tcp({})), "denied_implicit"},
    {"answer to nothing", ipv4({}, tcp({.flags = syn | ack})), "no_connection"},
    {"later fragment of nothing", ipv4({.fragment = 0x2002, .id = 9}, zeros(16)), "fragments"},
    {"lie", ipv4({.length_lie = 1}, tcp({})), "malformed"},
    {"arp", arp + zeros(46), "passed_link"},
    {"multicast", ipv4({.to = "224.0.0.5", .protocol = 89}, zeros(20)), "passed_link"},
  });
  ASSERT_TRUE(tier_->refresh_addresses());
  expect_all({{"local", ipv4({.to = "127.0.0.1"}, tcp({})), "passed_local"}});
  EXPECT_TRUE(tier_->connections(10).empty()) << "entering is the tc program's";
  EXPECT_EQ(tier_->totals().value[MP_TOTAL_packets], 0U) << "each program has its own totals";
  std::uint64_t denied = 0;
  for (const auto& [id, counters] : tier_->mapping_counters())
    denied += counters.packets_denied;
  EXPECT_EQ(denied, 2U) << "counters of mappings are for both";
}

TEST_F(xdp_packets, behind_vlan_tags_are_judged_and_never_forwarded) {
  put_in_force(usual());
  for (auto tags : {1U, 2U}) {
    EXPECT_EQ(xdp_outcome(tagged(ipv4({}, tcp({})), tags)), "handed_on") << tags;
    EXPECT_EQ(xdp_outcome(tagged(ipv4({.to = "8.8.8.66"}, tcp({})), tags)), "denied_mapping");
    EXPECT_EQ(xdp_outcome(tagged(ipv6({.to = "2001:db9::1"}, tcp({})), tags)), "denied_implicit");
  }
  EXPECT_EQ(xdp_outcome(tagged(ipv4({.to = "8.8.8.66"}, tcp({})), 3)), "passed_link");
}

TEST_F(xdp_packets, of_a_connection_that_a_revision_refuses_end_here_or_where_its_sender_is_told) {
  put_in_force(usual());
  auto segment = ipv4({}, tcp({.flags = ack}));
  auto reset = ipv4({}, tcp({.flags = rst}));
  EXPECT_EQ(outcome(segment), "allowed");
  EXPECT_EQ(xdp_outcome(segment), "handed_on") << "no interface takes it";
  auto b = usual(6);
  b.map("10.0.0.0/8", "8.8.8.8", mapping_action::deny);
  put_in_force(b);
  EXPECT_EQ(xdp_outcome(reset), "denied_mapping") << "one switch is for both programs";
  EXPECT_EQ(xdp_outcome(segment), "handed_on");
  EXPECT_EQ(outcome(segment), "denied_mapping");
}

TEST_F(xdp_packets, are_read_however_far_their_ports_are) {
  put_in_force(usual());
  bytes chain;
  for (int i = 0; i < 5; ++i)
    chain = chain + extension(IPPROTO_DSTOPTS, 30);
  auto frame = [&](std::string_view to) {
    return ipv6({.to = to, .next = IPPROTO_DSTOPTS}, chain + extension(IPPROTO_TCP) + tcp({}));
  };
  EXPECT_EQ(xdp_outcome(frame("2001:db8:1::8")), "handed_on");
  EXPECT_EQ(xdp_outcome(frame("2001:db9::1")), "denied_implicit");
}

} // namespace
} // namespace marchproxy::tier_ebpf::testing

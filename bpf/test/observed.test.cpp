// SPDX-License-Identifier: AGPL-3.0-only
// Observed mappings and clusters (POL-8): packets that are let through although they are refused.
#include "bpf/test/frames.hpp"
#include "bpf/test/tier_fixture.hpp"

namespace marchproxy::tier_ebpf::testing {
namespace {

using model::mapping_action;
using counts = std::map<std::string, std::uint64_t>;

constexpr std::string_view client = "10.0.0.1";

bytes there(std::string_view to, unsigned flags = syn) {
  return ipv4({.from = client, .to = to}, tcp({.from = 40000, .to = 443, .flags = flags}));
}
bytes back(std::string_view from, unsigned flags = ack) {
  return ipv4({.from = from, .to = client}, tcp({.from = 443, .to = 40000, .flags = flags}));
}

class observed : public tier_test {
protected:
  static book usual(std::uint64_t revision = 5) {
    book b{revision};
    b.map("10.0.0.0/8", "8.8.8.0/24");
    b.map("10.0.0.0/8", "8.8.8.66", mapping_action::deny).observe = true;
    auto& keyed = b.map("10.0.0.0/8", "8.8.8.77");
    keyed.auth_required = true;
    keyed.observe = true;
    b.map("10.0.0.0/8", "8.8.8.88", mapping_action::deny);
    b.map("10.0.0.0/8", "8.8.8.99").observe = true;
    return b;
  }
  std::vector<flow_event> events() {
    std::vector<flow_event> out;
    tier_->drain_events([&](const flow_event& e) { out.push_back(e); }, 1000);
    return out;
  }
};

TEST_F(observed, refusals_pass_are_tracked_both_ways_and_counted_apart) {
  put_in_force(usual());
  for (const auto* to : {"8.8.8.66", "8.8.8.77"}) {
    EXPECT_EQ(effect(there(to)), (counts{{"observed", 1}, {"new_flows", 1}})) << to;
    EXPECT_TRUE(passed_) << to;
    EXPECT_EQ(effect(back(to, syn | ack)), (counts{{"observed", 1}, {"tracked_hits", 1}})) << to;
    EXPECT_TRUE(passed_) << to;
  }
  EXPECT_EQ(outcome(there("8.8.8.88")), "denied_mapping") << "not observed";
  EXPECT_EQ(outcome(there("8.8.8.99")), "allowed") << "nothing to observe";
  EXPECT_EQ(outcome(there("9.9.9.9")), "denied_implicit") << "no mapping's";
  EXPECT_FALSE(passed_);
  auto mappings = tier_->mapping_counters();
  for (auto id : {mapping_id{2}, mapping_id{3}}) {
    EXPECT_EQ(mappings.at(id).packets, 2U);
    EXPECT_EQ(mappings.at(id).flows, 1U);
    EXPECT_EQ(mappings.at(id).packets_denied, 0U);
  }
  auto seen = events();
  ASSERT_EQ(seen.size(), 5U);
  EXPECT_EQ(seen[0].kind, event_kind::observed);
  EXPECT_EQ(seen[0].verdict.mapping, mapping_id{2});
  EXPECT_FALSE(seen[0].verdict.allowed());
  EXPECT_TRUE(seen[0].verdict.observe);
  EXPECT_EQ(seen[1].kind, event_kind::observed);
  EXPECT_EQ(seen[2].kind, event_kind::denied);
  EXPECT_EQ(seen[3].kind, event_kind::opened);
}

TEST_F(observed, connections_live_through_revisions_until_one_enforces) {
  book before{5};
  before.map("10.0.0.0/8", "8.8.8.0/24");
  put_in_force(before);
  EXPECT_EQ(outcome(there("8.8.8.66")), "allowed");
  put_in_force(usual(6));
  EXPECT_EQ(effect(there("8.8.8.66", ack)), (counts{{"observed", 1}, {"revalidated", 1}}));
  EXPECT_EQ(effect(back("8.8.8.66")), (counts{{"observed", 1}, {"tracked_hits", 1}}));
  auto enforced = usual(7);
  enforced.rules.mappings.at(1).observe = false;
  put_in_force(enforced);
  EXPECT_EQ(effect(back("8.8.8.66")),
            (counts{{"denied_mapping", 1}, {"revalidated", 1}, {"told", 1}}));
  std::vector<event_kind> kinds;
  for (const auto& e : events())
    kinds.push_back(e.kind);
  EXPECT_EQ(kinds, (std::vector{event_kind::opened, event_kind::observed, event_kind::cut}));
}

TEST_F(observed, clusters_let_through_what_no_mapping_allows_but_not_what_is_no_verdict) {
  auto b = usual();
  b.rules.observe = true;
  put_in_force(b);
  EXPECT_EQ(outcome(there("8.8.8.8")), "allowed");
  EXPECT_EQ(outcome(there("8.8.8.88")), "observed");
  EXPECT_EQ(outcome(there("9.9.9.9")), "observed");
  EXPECT_EQ(outcome(back("9.9.9.9")), "observed") << "its reply";
  EXPECT_EQ(outcome(ipv6({.from = "2001:db8::1", .to = "2001:db9::1"}, tcp({}))), "observed");
  EXPECT_EQ(outcome(ipv4({.to = "192.168.1.1"}, tcp({}))), "observed");
  EXPECT_EQ(outcome(ipv4({.to = "169.254.169.254"}, tcp({}))), "denied_implicit");
  EXPECT_EQ(outcome(ipv6({.from = "2001:db8::1", .to = "64:ff9b::a9fe:a9fe"}, tcp({}))),
            "denied_implicit");
  EXPECT_EQ(outcome(ipv4({.length_lie = 1}, tcp({}))), "malformed");
  EXPECT_EQ(outcome(ipv4({.to = "9.9.9.8"}, tcp({.flags = syn | ack}))), "no_connection");
  EXPECT_EQ(outcome(ipv4({.to = "9.9.9.9", .protocol = 132}, zeros(20))), "unsupported_protocol");
}

TEST_F(observed, addresses_are_the_same_to_the_kernel_as_to_the_program) {
  book b{5};
  b.rules.observe = true;
  auto& guarded = b.map("10.1.0.0/16", "0.0.0.0/0", mapping_action::deny);
  guarded.allow_private = false;
  b.map("10.2.0.0/16", "0.0.0.0/0", mapping_action::deny);
  put_in_force(b);
  ASSERT_TRUE(tier_->load_xdp());
  auto program = b.compile();
  auto expect_alike = [&](const char* source, const ip_address& to) {
    policy::flow f{*parse_ip(source), to, {}, model::protocol::tcp, 80};
    auto want = program->decide(f);
    auto got = tier_->judge(f);
    auto at_driver = tier_->judge_xdp(f);
    ASSERT_TRUE(got && at_driver) << source << " to " << marchproxy::to_string(to);
    EXPECT_EQ(*got, want) << source << " to " << marchproxy::to_string(to);
    EXPECT_EQ(*at_driver, want) << source << " to " << marchproxy::to_string(to);
  };
  for (const auto& special : special_prefixes()) {
    auto v4 = special.prefix.base.family == ip_family::v4;
    auto last = special.prefix.base; // with all bits behind the prefix set
    for (auto bit = unsigned{special.prefix.length}; bit < (v4 ? 32U : 128U); ++bit)
      last.bytes[bit / 8] = static_cast<std::uint8_t>(last.bytes[bit / 8] | (0x80U >> (bit % 8)));
    for (const auto& inside : {special.prefix.base, last}) {
      if (v4)
        for (const auto* source : {"10.1.0.1", "10.2.0.1", "10.3.0.1"})
          expect_alike(source, inside);
      else
        expect_alike("2001:db8::1", inside);
    }
  }
}

TEST_F(observed, packets_are_handed_on_by_the_driver_program_and_judged_alike) {
  ASSERT_TRUE(tier_->load_xdp());
  put_in_force(usual());
  auto at_driver = [&](mp_total which) { return tier_->xdp()->totals().value[which]; };
  auto ran = tier_->run_xdp(there("8.8.8.66"));
  ASSERT_TRUE(ran);
  EXPECT_TRUE(ran->passed);
  EXPECT_EQ(at_driver(MP_TOTAL_handed_on), 1U);
  EXPECT_EQ(at_driver(MP_TOTAL_denied_mapping), 0U);
  ran = tier_->run_xdp(there("8.8.8.88"));
  ASSERT_TRUE(ran);
  EXPECT_FALSE(ran->passed);
}

} // namespace
} // namespace marchproxy::tier_ebpf::testing

// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/test/frames.hpp"
#include "bpf/test/tier_fixture.hpp"

#include <bpf/bpf.h>

namespace marchproxy::tier_ebpf::testing {
namespace {

using model::mapping_action;
using counts = std::map<std::string, std::uint64_t>;

constexpr std::string_view client = "10.0.0.1";
constexpr std::string_view server = "8.8.8.8";

bytes there(unsigned flags, std::uint16_t port = 40000) {
  return ipv4({.from = client, .to = server}, tcp({.from = port, .to = 443, .flags = flags}));
}
bytes back(unsigned flags, std::uint16_t port = 40000) {
  return ipv4({.from = server, .to = client}, tcp({.from = 443, .to = port, .flags = flags}));
}

five_tuple
tuple(std::uint8_t protocol = IPPROTO_TCP, std::uint16_t from = 40000, std::uint16_t to = 443) {
  return {*parse_ip(client), *parse_ip(server), from, to, protocol};
}

/// One way only: nothing lets the server open anything.
book one_way(std::uint64_t revision, mapping_action action = mapping_action::allow) {
  book b{revision};
  b.map("10.0.0.0/8", "8.8.8.0/24", action);
  b.map("2001:db8::/32", "2001:db8:1::/48", action);
  return b;
}

class connections : public tier_test {
protected:
  std::string state_of(const five_tuple& t) {
    auto found = tier_->find(t);
    return found ? std::string{found->state} : "none";
  }

  /// Makes the entry look as if nothing had come for @p idle.
  void age(const five_tuple& t, std::chrono::seconds idle) {
    auto abi = to_abi(t);
    mp_flow_key key{};
    mp_flow_key_of(&abi, &key);
    mp_flow flow{};
    auto fd = tier_->fds().flows;
    if (bpf_map_lookup_elem(fd, &key, &flow) != 0)
      fd = tier_->fds().openings;
    ASSERT_EQ(bpf_map_lookup_elem(fd, &key, &flow), 0);
    flow.last_seen -= static_cast<std::uint64_t>(std::chrono::nanoseconds{idle}.count());
    ASSERT_EQ(bpf_map_update_elem(fd, &key, &flow, BPF_EXIST), 0);
  }

  std::vector<flow_event> events() {
    std::vector<flow_event> out;
    tier_->drain_events([&](const flow_event& e) { out.push_back(e); }, 1000);
    return out;
  }
};

TEST_F(connections, let_replies_pass_without_a_rule_of_their_own) {
  put_in_force(one_way(5));
  EXPECT_EQ(outcome(back(ack)), "denied_implicit");
  EXPECT_EQ(effect(there(syn)), (counts{{"allowed", 1}, {"new_flows", 1}}));
  EXPECT_EQ(effect(back(syn | ack)), (counts{{"allowed", 1}, {"tracked_hits", 1}}));
  EXPECT_EQ(effect(there(ack)), (counts{{"allowed", 1}, {"tracked_hits", 1}, {"confirmed", 1}}));
  EXPECT_EQ(effect(there(ack)), (counts{{"allowed", 1}, {"tracked_hits", 1}}));

  EXPECT_EQ(outcome(ipv4({.protocol = IPPROTO_UDP}, udp(5000, 53))), "allowed");
  EXPECT_EQ(outcome(ipv4({.from = server, .to = client, .protocol = IPPROTO_UDP}, udp(53, 5000))),
            "allowed");
  EXPECT_EQ(outcome(ipv4({.from = server, .to = client, .protocol = IPPROTO_UDP}, udp(53, 5001))),
            "denied_implicit");

  EXPECT_EQ(outcome(ipv4({.protocol = IPPROTO_ICMP}, icmp(8, 99))), "allowed");
  EXPECT_EQ(outcome(ipv4({.from = server, .to = client, .protocol = IPPROTO_ICMP}, icmp(0, 99))),
            "allowed");
  EXPECT_EQ(outcome(ipv4({.from = server, .to = client, .protocol = IPPROTO_ICMP}, icmp(0, 98))),
            "no_connection");

  EXPECT_EQ(outcome(ipv6({}, tcp({}))), "allowed");
  EXPECT_EQ(outcome(ipv6({.from = "2001:db8:1::8", .to = "2001:db8::1"},
                         tcp({.from = 443, .to = 40000, .flags = ack}))),
            "allowed");
  EXPECT_EQ(tier_->connections(100).size(), 4u);
}

TEST_F(connections, are_not_opened_by_a_syn_ack_nor_entered_by_a_reset) {
  put_in_force(one_way(5));
  EXPECT_EQ(outcome(there(syn | ack)), "no_connection");
  EXPECT_EQ(effect(there(rst | ack)), (counts{{"allowed", 1}}));
  EXPECT_TRUE(tier_->connections(10).empty());
  EXPECT_EQ(effect(there(ack)), (counts{{"allowed", 1}, {"new_flows", 1}}))
    << "picked up in mid-stream";
}

TEST_F(connections, follow_tcp_from_opening_to_closed_and_open_anew) {
  put_in_force(one_way(5));
  struct step {
    bytes frame;
    const char* state;
  };
  for (const auto& s : std::vector<step>{{there(syn), "opening"},
                                         {back(syn | ack), "opening"},
                                         {there(ack), "established"},
                                         {there(fin | ack), "established"},
                                         {back(ack), "established"},
                                         {back(fin | ack), "closed"},
                                         {there(ack), "closed"}}) {
    EXPECT_EQ(outcome(s.frame), "allowed");
    EXPECT_EQ(state_of(tuple()), s.state);
  }
  EXPECT_EQ(effect(there(syn)), (counts{{"allowed", 1}, {"expired", 1}, {"new_flows", 1}}));
  EXPECT_EQ(state_of(tuple()), "opening");
  EXPECT_EQ(outcome(back(rst)), "allowed");
  EXPECT_EQ(state_of(tuple()), "closed");
  EXPECT_EQ(effect(back(syn)), (counts{{"denied_implicit", 1}, {"expired", 1}}))
    << "the server may open nothing";
}

TEST_F(connections, that_were_silent_for_too_long_count_as_absent) {
  put_in_force(one_way(5));
  auto answer = ipv4({.from = server, .to = client, .protocol = IPPROTO_UDP}, udp(53, 5000));
  struct silence {
    const char* name;
    std::vector<bytes> before;
    five_tuple tuple;
    std::chrono::seconds limit;
    bytes reply;
  };
  std::vector<silence> all{
    {"datagram",
     {ipv4({.protocol = IPPROTO_UDP}, udp(5000, 53))},
     tuple(IPPROTO_UDP, 5000, 53),
     std::chrono::seconds{60},
     answer},
    {"opening", {there(syn, 1)}, tuple(IPPROTO_TCP, 1), std::chrono::seconds{60}, back(ack, 1)},
    {"established",
     {there(syn, 2), back(syn | ack, 2), there(ack, 2)},
     tuple(IPPROTO_TCP, 2),
     std::chrono::hours{2},
     back(ack, 2)},
    {"closed",
     {there(syn, 3), back(rst, 3)},
     tuple(IPPROTO_TCP, 3),
     std::chrono::seconds{10},
     back(ack, 3)},
  };
  for (const auto& s : all) {
    for (const auto& frame : s.before)
      EXPECT_EQ(outcome(frame), "allowed") << s.name;
    age(s.tuple, s.limit - std::chrono::seconds{2});
    EXPECT_EQ(effect(s.reply), (counts{{"allowed", 1}, {"tracked_hits", 1}})) << s.name;
    age(s.tuple, s.limit + std::chrono::seconds{1});
    EXPECT_EQ(effect(s.reply), (counts{{"denied_implicit", 1}, {"expired", 1}})) << s.name;
    EXPECT_EQ(state_of(s.tuple), "none") << s.name;
  }
}

TEST_F(connections, are_judged_again_in_both_directions_when_the_revision_changes) {
  put_in_force(one_way(5));
  for (auto port : {std::uint16_t{1}, std::uint16_t{2}})
    EXPECT_EQ(outcome(there(syn, port)), "allowed");

  put_in_force(one_way(6, mapping_action::deny));
  EXPECT_EQ(effect(there(ack, 1)),
            (counts{{"denied_mapping", 1}, {"revalidated", 1}, {"told", 1}}));
  EXPECT_EQ(effect(back(ack, 1)),
            (counts{{"denied_mapping", 1}, {"tracked_hits", 1}, {"told", 1}}));
  EXPECT_EQ(effect(back(ack, 2)), (counts{{"denied_mapping", 1}, {"revalidated", 1}, {"told", 1}}));
  EXPECT_EQ(effect(there(ack, 2)),
            (counts{{"denied_mapping", 1}, {"tracked_hits", 1}, {"told", 1}}));

  put_in_force(one_way(7));
  EXPECT_EQ(effect(back(ack, 1)), (counts{{"allowed", 1}, {"revalidated", 1}}))
    << "the reply's right is the originator's";
  EXPECT_EQ(effect(there(ack, 2)), (counts{{"allowed", 1}, {"revalidated", 1}}));
  EXPECT_EQ(parts_of(tier_->find(tuple(IPPROTO_TCP, 1))->verdict_word).generation, 7u);

  std::vector<event_kind> kinds;
  for (const auto& e : events())
    kinds.push_back(e.kind);
  EXPECT_EQ(
    kinds, (std::vector{event_kind::opened, event_kind::opened, event_kind::cut, event_kind::cut}));
}

TEST_F(connections, count_packets_and_bytes_exactly) {
  auto b = one_way(5);
  b.map("10.0.0.0/8", "8.8.8.66", mapping_action::deny);
  b.map("10.0.0.0/8", "8.8.8.77").auth_required = true;
  put_in_force(b);
  constexpr unsigned rounds = 50;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  for (unsigned i = 0; i < rounds; ++i) {
    auto request = ipv4({}, tcp({.flags = i == 0 ? syn : ack, .payload = i}));
    auto reply = ipv4({.from = server, .to = client},
                      tcp({.from = 443, .to = 40000, .flags = ack, .payload = 2 * i}));
    ASSERT_TRUE(tier_->run(request));
    ASSERT_TRUE(tier_->run(reply));
    sent += request.size();
    received += reply.size();
  }
  for (unsigned i = 0; i < 7; ++i) {
    EXPECT_EQ(outcome(ipv4({.to = "8.8.8.66"}, tcp({}))), "denied_mapping");
    EXPECT_EQ(outcome(ipv4({.to = "8.8.8.77"}, tcp({}))), "denied_auth");
  }
  auto found = tier_->find(tuple());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->packets, rounds);
  EXPECT_EQ(found->reply_packets, rounds);
  EXPECT_EQ(found->bytes, sent);
  EXPECT_EQ(found->reply_bytes, received);
  EXPECT_EQ(found->tuple, tuple());

  auto mappings = tier_->mapping_counters();
  ASSERT_EQ(mappings.size(), 4u);
  const auto& first = mappings.at(mapping_id{1});
  EXPECT_EQ(first.packets, 2 * rounds);
  EXPECT_EQ(first.bytes, sent + received);
  EXPECT_EQ(first.flows, 1u);
  EXPECT_EQ(first.packets_denied, 0u);
  EXPECT_EQ(mappings.at(mapping_id{3}).packets_denied, 7u);
  EXPECT_EQ(mappings.at(mapping_id{4}).packets_denied, 7u);
  EXPECT_EQ(mappings.at(mapping_id{4}).packets, 0u);

  auto totals = by_name(tier_->totals());
  EXPECT_EQ(totals["packets"], 2 * rounds + 14);
  EXPECT_EQ(totals["allowed"], 2 * rounds);
  EXPECT_EQ(totals["allowed_bytes"], sent + received);
  EXPECT_EQ(totals["bytes"], sent + received + 14 * ipv4({}, tcp({})).size());
  EXPECT_EQ(totals["tracked_hits"], 2 * rounds - 1);
}

TEST_F(connections, report_openings_and_a_bounded_number_of_refusals) {
  put_in_force(one_way(0x1234567890));
  EXPECT_EQ(outcome(there(syn)), "allowed");
  EXPECT_EQ(outcome(ipv4({.to = "9.9.9.9"}, tcp({.from = 77, .to = 78}))), "denied_implicit");
  auto seen = events();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].kind, event_kind::opened);
  EXPECT_EQ(seen[0].tuple, tuple());
  EXPECT_EQ(seen[0].verdict.mapping, mapping_id{1});
  EXPECT_TRUE(seen[0].verdict.allowed());
  EXPECT_EQ(seen[0].verdict.revision.value, 0x1234567890u);
  EXPECT_EQ(seen[1].kind, event_kind::denied);
  EXPECT_EQ(seen[1].tuple,
            (five_tuple{*parse_ip(client), *parse_ip("9.9.9.9"), 77, 78, IPPROTO_TCP}));
  EXPECT_FALSE(seen[1].verdict.mapping);

  constexpr std::uint32_t flood = 50'000;
  auto run = tier_->run(ipv4({.to = "9.9.9.9"}, tcp({})), flood);
  ASSERT_TRUE(run);
  std::size_t reported = 0;
  tier_->drain_events([&](const flow_event&) { ++reported; }, flood);
  auto totals = by_name(tier_->totals());
  EXPECT_GT(totals["events_skipped"], 0u);
  EXPECT_EQ(reported + totals["events_skipped"] + totals["events_lost"], flood);
  EXPECT_EQ(tier_->connections(10).size(), 1u) << "refusals take no place in the table";
}

} // namespace
} // namespace marchproxy::tier_ebpf::testing

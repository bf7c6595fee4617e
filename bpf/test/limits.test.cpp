// SPDX-License-Identifier: AGPL-3.0-only
// Limits (POL-7) and what becomes of connections that a revision refuses (POL-12), in the kernel.
#include "bpf/test/frames.hpp"
#include "bpf/test/tier_fixture.hpp"

#include <functional>

namespace marchproxy::tier_ebpf::testing {
namespace {

using model::mapping_action;
using counts = std::map<std::string, std::uint64_t>;

/// So slow that no test sees a token come.
model::rate_limit slow(std::uint64_t burst) {
  return {1, 86'400, burst};
}

bytes opening(std::uint16_t from, std::string_view source = "10.0.0.1") {
  return ipv4({.from = source, .to = "8.8.8.8"}, tcp({.from = from, .to = 443}));
}
bytes there(std::uint16_t from, unsigned flags = ack, std::size_t payload = 0) {
  return ipv4({.from = "10.0.0.1", .to = "8.8.8.8"},
              tcp({.from = from, .to = 443, .flags = flags, .payload = payload}));
}
bytes back(std::uint16_t to, unsigned flags = ack) {
  return ipv4({.from = "8.8.8.8", .to = "10.0.0.1"}, tcp({.from = 443, .to = to, .flags = flags}));
}
bytes datagram(std::size_t payload, std::string_view source = "10.0.0.1") {
  return ipv4({.from = source, .to = "8.8.8.8", .protocol = IPPROTO_UDP}, udp(5000, 53, payload));
}

class kernel_limits : public tier_test {
protected:
  /// Mapping 1 leads to service 2, 8.8.8.0/24.
  static book limited(const model::limits& of_mapping, std::uint64_t revision = 5) {
    book b{revision};
    b.map("10.0.0.0/8", "8.8.8.0/24").limits = of_mapping;
    return b;
  }
  limited_count count(std::uint64_t id, bool of_service = false) {
    for (const auto& one : tier_->limited())
      if (one.id == id && one.of_service == of_service)
        return one;
    ADD_FAILURE() << "no limits of " << id;
    return {};
  }
};

TEST_F(kernel_limits, connections_beyond_the_burst_are_refused_and_those_open_go_on) {
  model::limits two;
  two.connections = slow(2);
  put_in_force(limited(two));
  EXPECT_EQ(outcome(opening(1)), "allowed");
  EXPECT_EQ(outcome(opening(2)), "allowed");
  EXPECT_EQ(effect(opening(3)), (counts{{"limited", 1}}));
  EXPECT_FALSE(passed_);
  EXPECT_EQ(outcome(there(1)), "allowed");
  EXPECT_EQ(outcome(back(2, syn | ack)), "allowed");
  EXPECT_EQ(count(1).refused[MP_LIMIT_connections], 1U);
  EXPECT_EQ(tier_->mapping_counters().at(mapping_id{1}).packets_denied, 1U);
  std::vector<event_kind> kinds;
  tier_->drain_events([&](const flow_event& e) { kinds.push_back(e.kind); }, 100);
  EXPECT_EQ(kinds, (std::vector{event_kind::opened, event_kind::opened, event_kind::limited}));
}

TEST_F(kernel_limits, a_place_is_free_again_when_a_connection_has_closed) {
  model::limits one;
  one.max_connections = 1;
  put_in_force(limited(one));
  EXPECT_EQ(outcome(opening(1)), "allowed");
  EXPECT_EQ(outcome(opening(2)), "limited");
  EXPECT_EQ(count(1).refused[MP_LIMIT_max_connections], 1U);
  EXPECT_EQ(outcome(there(1, rst)), "allowed");
  EXPECT_EQ(outcome(opening(2)), "allowed");
  EXPECT_EQ(outcome(opening(3)), "limited");
  // The sweep counts what the tables have: the one that is closed counts no more.
  tier_->sweep();
  EXPECT_EQ(outcome(opening(3)), "limited");
  EXPECT_EQ(outcome(there(2, rst)), "allowed");
  EXPECT_EQ(outcome(opening(3)), "allowed");
}

TEST_F(kernel_limits, packets_and_bytes_count_in_both_directions) {
  model::limits packets;
  packets.packets = slow(3);
  put_in_force(limited(packets));
  EXPECT_EQ(outcome(opening(1)), "allowed");
  EXPECT_EQ(outcome(back(1, syn | ack)), "allowed");
  EXPECT_EQ(outcome(there(1)), "allowed");
  EXPECT_EQ(effect(there(1)), (counts{{"limited", 1}, {"tracked_hits", 1}}));
  EXPECT_EQ(outcome(back(1)), "limited");
  EXPECT_EQ(count(1).refused[MP_LIMIT_packets], 2U);

  model::limits bytes_of;
  const auto frame = datagram(100);
  bytes_of.bytes = slow(frame.size() * 2 + 20);
  put_in_force(limited(bytes_of, 6));
  EXPECT_EQ(outcome(frame), "allowed");
  EXPECT_EQ(outcome(frame), "allowed");
  EXPECT_EQ(outcome(frame), "limited");
  EXPECT_EQ(outcome(datagram(1)), "limited") << "43 bytes are asked for";
  EXPECT_EQ(count(1).refused[MP_LIMIT_bytes], 2U);
}

TEST_F(kernel_limits, each_source_has_them_for_itself_where_they_say_so) {
  model::limits one;
  one.per = model::limit_scope::source;
  one.connections = slow(1);
  one.max_connections = 5;
  put_in_force(limited(one));
  for (const auto* source : {"10.0.0.1", "10.0.0.2"}) {
    EXPECT_EQ(outcome(opening(1, source)), "allowed") << source;
    EXPECT_EQ(outcome(opening(2, source)), "limited") << source;
  }
  tier_->sweep(); // gives up buckets that are full only
  EXPECT_EQ(outcome(opening(3)), "limited");
}

TEST_F(kernel_limits, those_of_the_service_hold_by_the_closest_prefix_port_and_protocol) {
  book b{5};
  b.map("10.0.0.0/8", "8.8.8.0/24");
  auto limit = [&](const char* prefix, std::uint64_t burst) -> model::service& {
    auto& s = b.rules.services.at(b.service(prefix).value - 1);
    s.limits.emplace();
    s.limits->connections = slow(burst);
    return s;
  };
  limit("8.8.0.0/16", 1);
  limit("8.8.8.8/32", 2).ports = model::port_set{{{443, 443}}};
  put_in_force(b);
  const auto frames = std::vector{opening(1), opening(2), opening(3), datagram(4)};
  EXPECT_EQ(outcome(frames[0]), "allowed");
  EXPECT_EQ(outcome(frames[1]), "allowed");
  EXPECT_EQ(outcome(frames[2]), "limited") << "by the closer one";
  EXPECT_EQ(outcome(frames[3]), "allowed") << "by the wider one, as its port is another";
  EXPECT_EQ(outcome(datagram(4, "10.0.0.2")), "limited");
  EXPECT_EQ(count(3, true).refused[MP_LIMIT_connections], 1U);
  EXPECT_EQ(count(4, true).refused[MP_LIMIT_connections], 1U);
}

TEST_F(kernel_limits, what_stands_in_the_way_of_one_takes_nothing_of_the_other) {
  model::limits of_mapping;
  of_mapping.connections = slow(2);
  auto b = limited(of_mapping);
  auto& to = b.rules.services.at(1);
  to.limits.emplace();
  to.limits->connections = slow(1);
  put_in_force(b);
  EXPECT_EQ(outcome(opening(1)), "allowed");
  EXPECT_EQ(outcome(opening(2)), "limited");
  EXPECT_EQ(outcome(opening(3)), "limited");
  EXPECT_EQ(count(1).refused[MP_LIMIT_connections], 0U);
  to.limits.reset();
  b.rules.revision = revision{6};
  put_in_force(b);
  EXPECT_EQ(outcome(opening(4)), "allowed") << "the mapping has one left";
  EXPECT_EQ(outcome(opening(5)), "limited");
}

TEST_F(kernel_limits, a_packet_that_one_limit_stops_takes_nothing_of_the_others) {
  model::limits l;
  l.connections = slow(1);
  l.bytes = slow(100);
  put_in_force(limited(l));
  const auto large =
    ipv4({.from = "10.0.0.1", .to = "8.8.8.8"}, tcp({.from = 1, .to = 443, .payload = 100}));
  EXPECT_EQ(outcome(large), "limited");
  EXPECT_EQ(count(1).refused[MP_LIMIT_bytes], 1U);
  EXPECT_EQ(outcome(opening(2)), "allowed") << "the connection is still to be had";
  EXPECT_EQ(outcome(opening(3)), "limited");
  EXPECT_EQ(count(1).refused[MP_LIMIT_connections], 1U);
}

TEST_F(kernel_limits, what_is_used_outlives_revisions_that_do_not_change_them) {
  model::limits one;
  one.connections = slow(1);
  put_in_force(limited(one));
  EXPECT_EQ(outcome(opening(1)), "allowed");
  put_in_force(limited(one, 6));
  EXPECT_EQ(outcome(opening(2)), "limited");
  one.connections = slow(2);
  put_in_force(limited(one, 7));
  EXPECT_EQ(outcome(opening(2)), "allowed");
  EXPECT_EQ(outcome(opening(3)), "allowed");
  EXPECT_EQ(outcome(opening(4)), "limited");
}

TEST_F(kernel_limits, a_connection_turns_to_the_limits_of_a_new_revision) {
  put_in_force(limited({}, 5));
  EXPECT_EQ(outcome(opening(1)), "allowed");
  model::limits one;
  one.max_connections = 1;
  one.packets = slow(2);
  put_in_force(limited(one, 6));
  EXPECT_EQ(effect(there(1)), (counts{{"allowed", 1}, {"revalidated", 1}}));
  EXPECT_EQ(outcome(opening(2)), "limited") << "the first counts as open";
  EXPECT_EQ(outcome(there(1)), "allowed");
  EXPECT_EQ(outcome(there(1)), "limited");
  put_in_force(limited({}, 7));
  EXPECT_EQ(outcome(there(1)), "allowed");
  EXPECT_EQ(outcome(opening(2)), "allowed");
}

TEST_F(kernel_limits, at_the_driver_what_is_beyond_is_dropped_and_what_is_not_is_taken_once) {
  ASSERT_TRUE(tier_->load_xdp());
  model::limits three;
  three.packets = slow(3);
  put_in_force(limited(three));
  const auto at_driver = [&](mp_total which) { return tier_->xdp()->totals().value[which]; };
  const auto both = [&](const bytes& frame) {
    auto ran = tier_->run_xdp(frame);
    EXPECT_TRUE(ran);
    if (ran && ran->passed) {
      EXPECT_TRUE(tier_->run(frame));
    }
  };
  both(opening(1));
  both(back(1, syn | ack));
  both(there(1));
  EXPECT_EQ(at_driver(MP_TOTAL_handed_on), 3U);
  EXPECT_EQ(tier_->totals().value[MP_TOTAL_allowed], 3U);
  both(there(1));
  EXPECT_EQ(at_driver(MP_TOTAL_limited), 1U);
  EXPECT_EQ(count(1).refused[MP_LIMIT_packets], 1U);
}

class kernel_revocation : public tier_test {
protected:
  static book with(model::revocation what, std::uint64_t revision, std::uint32_t seconds = 60) {
    book b{revision};
    auto& m = b.map("10.0.0.0/8", "8.8.8.0/24");
    m.when_revoked = what;
    m.drain_seconds = seconds;
    return b;
  }
  /// The same, and the mapping switched off.
  static book without(std::uint64_t revision) {
    auto b = with(model::revocation::cut, revision);
    b.rules.mappings.at(0).active = false;
    return b;
  }
};

TEST_F(kernel_revocation, connections_are_cut_where_the_mapping_says_nothing) {
  put_in_force(with(model::revocation::cut, 5));
  EXPECT_EQ(outcome(opening(1)), "allowed");
  put_in_force(without(6));
  EXPECT_EQ(effect(there(1)), (counts{{"denied_implicit", 1}, {"revalidated", 1}, {"told", 1}}));
}

TEST_F(kernel_revocation, connections_finish_and_new_ones_are_refused) {
  put_in_force(with(model::revocation::finish, 5));
  EXPECT_EQ(outcome(opening(1)), "allowed");
  for (std::uint64_t revision : {6U, 7U}) {
    put_in_force(without(revision));
    EXPECT_EQ(effect(back(1, syn | ack)),
              (revision == 6 ? counts{{"allowed", 1}, {"revalidated", 1}, {"spared", 1}}
                             : counts{{"allowed", 1}, {"revalidated", 1}}));
    EXPECT_EQ(outcome(there(1)), "allowed");
    EXPECT_EQ(outcome(opening(2)), "denied_implicit");
  }
  put_in_force(with(model::revocation::cut, 8));
  EXPECT_EQ(outcome(there(1)), "allowed");
  put_in_force(without(9));
  EXPECT_EQ(outcome(there(1)), "denied_implicit") << "as the mapping said last";
}

TEST_F(kernel_revocation, connections_drain_for_as_long_as_the_mapping_says) {
  put_in_force(with(model::revocation::drain, 5, 1));
  EXPECT_EQ(outcome(opening(1)), "allowed");
  put_in_force(without(6));
  EXPECT_EQ(outcome(there(1)), "allowed");
  const auto drained = [&] { return outcome(there(1)) == "denied_implicit"; };
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{5};
  while (!drained() && std::chrono::steady_clock::now() < until) {
  }
  EXPECT_TRUE(drained());
  std::vector<event_kind> kinds;
  tier_->drain_events([&](const flow_event& e) { kinds.push_back(e.kind); }, 100);
  EXPECT_EQ(kinds, (std::vector{event_kind::opened, event_kind::cut}));
}

} // namespace
} // namespace marchproxy::tier_ebpf::testing

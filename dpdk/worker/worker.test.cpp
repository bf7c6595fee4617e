// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/worker/worker_fixture.test.hpp"

#include <cstring>
#include <set>
#include <sstream>

namespace marchproxy::packet_worker::testing {
namespace {

using namespace tier_ebpf::testing;

book allow_out(std::uint64_t revision) {
  book b{revision};
  b.map("10.0.0.0/8", "8.8.8.0/24");
  b.map("2001:db8::/64", "2001:db8:1::/48");
  b.map("10.0.0.0/8", "9.9.9.9", model::mapping_action::deny);
  b.map("10.0.0.0/8", "8.8.4.4").auth_required = true;
  return b;
}

std::uint16_t ip_checksum(const bytes& frame) {
  std::uint32_t sum = 0;
  for (std::size_t i = 14; i < 34; i += 2)
    sum += static_cast<std::uint32_t>(std::to_integer<unsigned>(frame[i]) << 8
                                      | std::to_integer<unsigned>(frame[i + 1]));
  while (sum > 0xffff)
    sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

/// With the checksum that makes ip_checksum() 0xffff.
bytes with_checksum(bytes frame) {
  frame[24] = frame[25] = std::byte{0};
  auto sum = static_cast<std::uint16_t>(~ip_checksum(frame));
  frame[24] = static_cast<std::byte>(sum >> 8);
  frame[25] = static_cast<std::byte>(sum & 0xff);
  return frame;
}

bytes answer_tcp(unsigned flags) {
  return ipv4({.from = "8.8.8.8", .to = "10.0.0.1"},
              tcp({.from = 443, .to = 40000, .flags = flags}));
}

using worker_core = worker_test;

TEST_F(worker_core, without_a_policy_nothing_passes) {
  EXPECT_EQ(effect(inside, ipv4({}, tcp({}))), "no_image");
  EXPECT_TRUE(last_.sent[outside].empty());
}

TEST_F(worker_core, judges_tracks_and_forwards) {
  put_in_force(allow_out(5));
  EXPECT_EQ(effect(inside, with_checksum(ipv4({}, tcp({})))), "allowed new_flows forwarded");
  ASSERT_EQ(last_.sent[outside].size(), 1u);
  const auto& out = last_.sent[outside][0];
  EXPECT_EQ(std::memcmp(out.data(), gateway_mac.data(), 6), 0);
  EXPECT_EQ(std::memcmp(out.data() + 6, outside_mac.data(), 6), 0);
  EXPECT_EQ(out[22], std::byte{63});
  EXPECT_EQ(ip_checksum(out), 0xffff);
  EXPECT_EQ(effect(outside, answer_tcp(syn | ack)), "allowed tracked_hits forwarded");
  ASSERT_EQ(last_.sent[inside].size(), 1u);
  EXPECT_EQ(std::memcmp(last_.sent[inside][0].data(), client_mac.data(), 6), 0);
  EXPECT_EQ(effect(inside, ipv4({}, tcp({.flags = ack}))),
            "allowed confirmed tracked_hits forwarded");
  EXPECT_EQ(effect(outside, answer_tcp(ack)), "allowed tracked_hits forwarded");
  EXPECT_EQ(effect(outside, ipv4({.from = "8.8.8.9", .to = "10.0.0.1"}, tcp({.flags = syn | ack}))),
            "no_connection");
  EXPECT_EQ(effect(outside, ipv4({.from = "8.8.8.9", .to = "10.0.0.1"}, tcp({}))),
            "denied_implicit");
  EXPECT_EQ(effect(inside, ipv4({.to = "9.9.9.9"}, tcp({}))), "denied_mapping");
  EXPECT_EQ(effect(inside, ipv4({.to = "8.8.4.4"}, tcp({}))), "denied_auth");
  EXPECT_EQ(effect(inside, ipv6({.next = IPPROTO_UDP}, udp(5, 53))), "allowed new_flows forwarded");
}

TEST_F(worker_core, says_of_each_packet_where_it_goes) {
  put_in_force(allow_out(5));
  auto hopless = ipv4({}, tcp({}));
  hopless[22] = std::byte{1};
  auto tagged = ipv4({}, tcp({}));
  tagged.insert(tagged.begin() + 12, {std::byte{0x81}, std::byte{0}, std::byte{0}, std::byte{7}});
  struct row {
    const char* what;
    bytes frame;
    const char* effect;
  };
  const std::vector<row> table{
    {"no IP", cut(ipv4({}, tcp({})), 13), "malformed"},
    {"ARP", bytes(12) + bytes{std::byte{8}, std::byte{6}} + bytes(28), "passed_link kernel_local"},
    {"for the node", ipv4({.to = "10.0.0.254"}, tcp({})), "passed_local kernel_local"},
    {"a fragment for the node", ipv4({.to = "10.0.0.254", .fragment = 100}, tcp({})),
     "passed_local kernel_local"},
    {"broadcast", ipv4({.to = "10.255.255.255", .protocol = IPPROTO_UDP}, udp(1, 2)),
     "passed_local kernel_local"},
    {"limited broadcast", ipv4({.to = "255.255.255.255", .protocol = IPPROTO_UDP}, udp(1, 2)),
     "passed_link kernel_local"},
    {"multicast", ipv4({.to = "224.0.0.251"}, udp(1, 2)), "passed_link kernel_local"},
    {"multicast", ipv6({.to = "ff02::1"}, udp(1, 2)), "passed_link kernel_local"},
    {"TTL used up", hopless, "allowed new_flows kernel_hop_limit"},
    {"options", ipv4({.options = 4}, tcp({})), "allowed kernel_options tracked_hits"},
    {"a VLAN tag", tagged, "allowed kernel_options tracked_hits"},
    {"too long", ipv4({}, tcp({.flags = ack, .payload = 1400})),
     "allowed kernel_size tracked_hits"},
    {"as long as may be", ipv4({}, tcp({.flags = ack, .payload = 1360})),
     "allowed tracked_hits forwarded"},
    {"cut short", cut(ipv4({}, tcp({})), 40), "malformed"},
  };
  for (const auto& r : table) {
    auto words = [](std::string text) {
      std::set<std::string> out;
      std::istringstream in{text};
      for (std::string word; in >> word;)
        out.insert(word);
      return out;
    };
    EXPECT_EQ(words(effect(inside, r.frame)), words(r.effect)) << r.what;
    auto to_kernel = std::string{r.effect}.find("kernel_") != std::string::npos;
    EXPECT_EQ(last_.delivered[inside].size(), to_kernel ? 1u : 0u) << r.what;
  }
}

TEST_F(worker_core, sends_short_packets_without_their_padding) {
  put_in_force(allow_out(5));
  auto padded = ipv4({}, tcp({}));
  padded.resize(60);
  arrive(inside, padded);
  static_cast<void>(effect(inside, padded));
  ASSERT_EQ(last_.sent[outside].size(), 1u);
  EXPECT_EQ(last_.sent[outside][0].size(), 54u);
}

TEST_F(worker_core, leaves_alone_what_is_for_other_machines) {
  put_in_force(allow_out(5));
  auto link_address = [](unsigned first) {
    auto out = ipv4({}, tcp({}));
    out[0] = static_cast<std::byte>(first);
    return out;
  };
  for (const auto& frame : {link_address(0x02), link_address(0xff)})
    ASSERT_TRUE(ports_[inside]->arrive(frame));
  while (pool_.turn() > 0) {
  }
  auto out = take();
  EXPECT_EQ(pool_.totals().value[MP_TOTAL_passed_link], 2u);
  EXPECT_EQ(pool_.ways().at(way::other_host), 1u);
  EXPECT_EQ(pool_.ways().at(way::kernel_local), 1u) << "to a group of hosts";
  EXPECT_EQ(out.delivered[inside].size(), 1u);
  EXPECT_TRUE(out.sent[outside].empty());
  EXPECT_EQ(buffers_.free(), buffer_count);
}

TEST_F(worker_core, asks_the_policy_again_when_the_revision_has_changed) {
  put_in_force(allow_out(5));
  EXPECT_EQ(effect(inside, ipv4({}, tcp({}))), "allowed new_flows forwarded");
  EXPECT_EQ(effect(outside, answer_tcp(syn | ack)), "allowed tracked_hits forwarded");
  put_in_force(allow_out(6));
  EXPECT_EQ(effect(outside, answer_tcp(ack)), "allowed revalidated forwarded");
  EXPECT_EQ(effect(inside, ipv4({}, tcp({.flags = ack}))),
            "allowed confirmed tracked_hits forwarded");
  put_in_force(book{7});
  std::vector<tier_ebpf::event_kind> kinds;
  EXPECT_EQ(effect(outside, answer_tcp(ack)), "denied_implicit revalidated told");
  pool_.drain_events(
    [&](const tier_ebpf::flow_event& e) {
      kinds.push_back(e.kind);
      EXPECT_EQ(e.tuple.source, *parse_ip("10.0.0.1")) << "as the originator sends";
    },
    100);
  EXPECT_EQ(kinds, (std::vector{tier_ebpf::event_kind::opened, tier_ebpf::event_kind::cut}));
}

TEST_F(worker_core, counts_by_mapping_and_goes_on_where_it_was) {
  put_in_force(allow_out(5));
  arrive(inside, ipv4({}, tcp({})));
  arrive(outside, answer_tcp(syn | ack));
  arrive(inside, ipv4({.to = "9.9.9.9"}, tcp({})));
  auto b = allow_out(6);
  b.map("10.0.0.0/8", "1.1.1.1").id = mapping_id{5'000};
  put_in_force(b);
  auto counters = pool_.mapping_counters();
  EXPECT_EQ(counters.size(), 5u);
  EXPECT_EQ(counters.at(mapping_id{1}).packets, 2u);
  EXPECT_EQ(counters.at(mapping_id{1}).bytes, 108u);
  EXPECT_EQ(counters.at(mapping_id{1}).flows, 1u);
  EXPECT_EQ(counters.at(mapping_id{3}).packets_denied, 1u);
  auto huge = allow_out(7);
  huge.map("10.0.0.0/8", "1.1.1.1").id = mapping_id{std::uint64_t{MP_COUNTED_MAX} + 1};
  auto refused = pool_.prepare(huge.compile());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::too_large);
  EXPECT_EQ(pool_.commit().error().code, errc::refused);
  EXPECT_EQ(pool_.active()->revision().value, 6u);
}

TEST_F(worker_core, follows_the_forwarding_table_at_once) {
  put_in_force(allow_out(5));
  EXPECT_EQ(effect(inside, ipv4({.protocol = IPPROTO_UDP}, udp(7, 8))),
            "allowed new_flows forwarded");
  auto view = usual_view();
  view.neighbours.erase(view.neighbours.begin() + 2);
  set_view(view);
  EXPECT_EQ(effect(inside, ipv4({.protocol = IPPROTO_UDP}, udp(7, 8))),
            "allowed tracked_hits kernel_neighbour");
  view = usual_view();
  view.neighbours[2].hardware = client_mac;
  set_view(view);
  EXPECT_EQ(effect(inside, ipv4({.protocol = IPPROTO_UDP}, udp(7, 8))),
            "allowed tracked_hits forwarded");
  EXPECT_EQ(std::memcmp(last_.sent[outside].at(0).data(), client_mac.data(), 6), 0);
}

TEST_F(worker_core, counts_what_a_full_queue_does_not_take) {
  put_in_force(allow_out(5));
  auto frame = ipv4({.protocol = IPPROTO_UDP}, udp(7, 8));
  std::memcpy(frame.data(), inside_mac.data(), 6);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 100; ++i)
      ASSERT_TRUE(ports_[inside]->arrive(frame));
    while (pool_.turn() > 0) {
    }
  }
  EXPECT_EQ(pool_.ways().at(way::forwarded), 128u);
  EXPECT_EQ(pool_.ways().at(way::send_full), 72u);
  EXPECT_EQ(take().sent[outside].size(), 128u);
  EXPECT_EQ(buffers_.free(), buffer_count);
  EXPECT_EQ(pool_.totals().value[MP_TOTAL_new_flows], 1u) << "the second of a burst is known";
}

TEST_F(worker_core, a_source_with_too_many_confirmed_connections_opens_no_more) {
  pool few{{.connections = 4'096, .connections_of_source = 2},
           {{ports_[inside].get(), ports_[outside].get()}}};
  static constexpr std::array<int, 2> interfaces{1, 2};
  ASSERT_TRUE(few.set_table(forwarding::table::make(usual_view(), interfaces, 9)));
  ASSERT_TRUE(few.prepare(allow_out(5).compile()) && few.commit());
  auto send = [&](std::size_t port, bytes frame) {
    const auto& mac = port == inside ? inside_mac : outside_mac;
    std::memcpy(frame.data(), mac.data(), mac.size());
    ASSERT_TRUE(ports_[port]->arrive(frame));
    while (few.turn() > 0) {
    }
    static_cast<void>(take());
  };
  auto out = [](std::uint16_t from, unsigned flags, const char* who = "10.0.0.1") {
    return ipv4({.from = who}, tcp({.from = from, .flags = flags}));
  };
  for (std::uint16_t port = 1; port <= 2; ++port) {
    send(inside, out(port, syn));
    send(outside, ipv4({.from = "8.8.8.8", .to = "10.0.0.1"},
                       tcp({.from = 443, .to = port, .flags = syn | ack})));
    send(inside, out(port, ack));
  }
  EXPECT_EQ(few.totals().value[MP_TOTAL_confirmed], 2u);
  send(inside, out(3, syn));
  EXPECT_EQ(few.totals().value[MP_TOTAL_source_full], 1u);
  send(inside, out(3, syn, "10.0.0.2"));
  EXPECT_EQ(few.totals().value[MP_TOTAL_new_flows], 3u) << "another source may";
  send(inside, out(1, rst)); // closed, and opened anew
  send(inside, out(1, syn));
  EXPECT_EQ(few.totals().value[MP_TOTAL_new_flows], 4u);
}

TEST_F(worker_core, keeps_conversations_in_a_flood) {
  put_in_force(allow_out(5));
  arrive(inside, ipv4({}, tcp({})));
  arrive(outside, answer_tcp(syn | ack));
  arrive(inside, ipv4({}, tcp({.flags = ack})));
  for (std::uint32_t i = 0; i < 50'000; ++i) {
    auto from = to_string(ip_address::v4(0x0a010000U + i));
    arrive(inside, ipv4({.from = from}, tcp({})));
  }
  EXPECT_EQ(pool_.connections_now(), 4'096u);
  EXPECT_GT(pool_.evicted(), 40'000u);
  EXPECT_EQ(effect(outside, answer_tcp(ack)), "allowed tracked_hits forwarded");
}

} // namespace
} // namespace marchproxy::packet_worker::testing

// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/test/frames.hpp"
#include "bpf/test/tier_fixture.hpp"

#include <bpf/bpf.h>

namespace marchproxy::tier_ebpf::testing {
namespace {

using model::mapping_action;

struct packet_case {
  const char* name;
  bytes frame;
  const char* outcome;
};

/// 10/8 and 2001:db8::/32 may reach 8.8.8.0/24 and 2001:db8:1::/48, with exceptions.
book usual(std::uint64_t revision = 5) {
  book b{revision};
  b.map("10.0.0.0/8", "8.8.8.0/24");
  b.map("10.0.0.0/8", "8.8.8.66", mapping_action::deny);
  b.map("10.0.0.0/8", "8.8.8.77").auth_required = true;
  b.map("10.0.0.0/8", "8.8.8.88", mapping_action::bypass);
  b.map("2001:db8::/32", "2001:db8:1::/48");
  b.map("2001:db8::/32", "2001:db8:1::66", mapping_action::deny);
  b.map("2001:db8::/32", "2001:db8:1::77").auth_required = true;
  return b;
}

class packets : public tier_test {
protected:
  void expect_all(const std::vector<packet_case>& cases) {
    for (const auto& c : cases) {
      EXPECT_EQ(outcome(c.frame), c.outcome) << c.name;
      auto passes = std::string_view{c.outcome}.starts_with("passed")
                    || std::string_view{c.outcome} == "allowed";
      EXPECT_EQ(passed_, passes) << c.name;
    }
    auto all = by_name(tier_->totals());
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i <= MP_LAST_OUTCOME; ++i)
      sum += all[std::string{text_of(static_cast<mp_total>(i)).name}];
    EXPECT_EQ(sum, all["packets"]) << "each packet has exactly one outcome";
  }
};

TEST_F(packets, are_dropped_as_long_as_no_policy_is_in_force) {
  expect_all({{"tcp", ipv4({}, tcp({})), "no_image"}, {"tcp6", ipv6({}, tcp({})), "no_image"}});
}

TEST_F(packets, are_judged_by_the_mapping_that_decides) {
  put_in_force(usual());
  auto u = udp(5000, 53);
  expect_all({
    {"tcp", ipv4({}, tcp({})), "allowed"},
    {"tcp to elsewhere", ipv4({.to = "9.9.9.9"}, tcp({})), "denied_implicit"},
    {"tcp denied", ipv4({.to = "8.8.8.66"}, tcp({})), "denied_mapping"},
    {"tcp that needs credentials", ipv4({.to = "8.8.8.77"}, tcp({})), "denied_auth"},
    {"tcp bypass", ipv4({.to = "8.8.8.88"}, tcp({})), "allowed"},
    {"udp", ipv4({.protocol = IPPROTO_UDP}, u), "allowed"},
    {"udp denied", ipv4({.to = "8.8.8.66", .protocol = IPPROTO_UDP}, u), "denied_mapping"},
    {"udp that needs credentials", ipv4({.to = "8.8.8.77", .protocol = IPPROTO_UDP}, u),
     "denied_auth"},
    {"echo", ipv4({.protocol = IPPROTO_ICMP}, icmp(8)), "allowed"},
    {"echo denied", ipv4({.to = "8.8.8.66", .protocol = IPPROTO_ICMP}, icmp(8)), "denied_mapping"},
    {"echo reply to nothing", ipv4({.from = "10.5.5.5", .protocol = IPPROTO_ICMP}, icmp(0)),
     "no_connection"},
    {"icmp redirect", ipv4({.to = "9.9.9.9", .protocol = IPPROTO_ICMP}, icmp(5)),
     "denied_implicit"},
    {"tcp6", ipv6({}, tcp({})), "allowed"},
    {"tcp6 to elsewhere", ipv6({.to = "2001:db9::1"}, tcp({})), "denied_implicit"},
    {"tcp6 denied", ipv6({.to = "2001:db8:1::66"}, tcp({})), "denied_mapping"},
    {"tcp6 that needs credentials", ipv6({.to = "2001:db8:1::77"}, tcp({})), "denied_auth"},
    {"udp6", ipv6({.next = IPPROTO_UDP}, u), "allowed"},
    {"udp6 denied", ipv6({.to = "2001:db8:1::66", .next = IPPROTO_UDP}, u), "denied_mapping"},
    {"echo6", ipv6({.next = IPPROTO_ICMPV6}, icmp(128)), "allowed"},
    {"echo6 reply to nothing", ipv6({.from = "2001:db8::5", .next = IPPROTO_ICMPV6}, icmp(129)),
     "no_connection"},
  });
}

TEST_F(packets, that_the_node_does_not_route_are_left_to_the_stack) {
  auto arp = zeros(12);
  put16(arp, 0x0806);
  expect_all({
    {"arp", arp + zeros(46), "passed_link"},
    {"multicast", ipv4({.to = "224.0.0.5", .protocol = 89}, zeros(20)), "passed_link"},
    {"multicast6", ipv6({.to = "ff02::5", .next = 89}, zeros(20)), "passed_link"},
    {"broadcast", ipv4({.to = "255.255.255.255", .protocol = IPPROTO_UDP}, udp(68, 67)),
     "passed_link"},
    {"neighbour solicitation", ipv6({.next = IPPROTO_ICMPV6, .hop_limit = 255}, icmp(135)),
     "passed_link"},
    {"forwarded neighbour solicitation",
     ipv6({.next = IPPROTO_ICMPV6, .hop_limit = 254}, icmp(135)), "no_image"},
  });
}

TEST_F(packets, to_an_address_of_the_node_are_left_to_the_stack) {
  ASSERT_TRUE(tier_->refresh_addresses());
  expect_all({
    {"tcp", ipv4({.to = "127.0.0.1"}, tcp({})), "passed_local"},
    {"fragment", ipv4({.to = "127.0.0.1", .fragment = 3}, tcp({})), "passed_local"},
    {"other protocol", ipv4({.to = "127.0.0.1", .protocol = 50}, zeros(20)), "passed_local"},
    {"not ours", ipv4({.to = "127.0.0.2"}, tcp({})), "no_image"},
  });
}

TEST_F(packets, with_options_and_extension_headers_are_read_to_their_ports) {
  put_in_force(usual());
  auto denied = ipv6_parts{.to = "2001:db8:1::66", .next = IPPROTO_HOPOPTS};
  auto chain =
    extension(IPPROTO_DSTOPTS, 2) + extension(IPPROTO_ROUTING) + extension(IPPROTO_TCP, 3);
  bytes five;
  for (int i = 0; i < 5; ++i)
    five = five + extension(IPPROTO_DSTOPTS);
  expect_all({
    {"options", ipv4({.options = 40}, tcp({})), "allowed"},
    {"options, denied", ipv4({.to = "8.8.8.66", .options = 4}, tcp({})), "denied_mapping"},
    {"hop by hop", ipv6({.next = IPPROTO_HOPOPTS}, extension(IPPROTO_TCP) + tcp({})), "allowed"},
    {"three headers", ipv6({.next = IPPROTO_HOPOPTS}, chain + tcp({})), "allowed"},
    {"three headers, denied", ipv6(denied, chain + tcp({})), "denied_mapping"},
    {"six headers", ipv6({.next = IPPROTO_DSTOPTS}, five + extension(IPPROTO_TCP) + tcp({})),
     "allowed"},
    {"seven headers",
     ipv6({.next = IPPROTO_DSTOPTS},
          five + extension(IPPROTO_DSTOPTS) + extension(IPPROTO_TCP) + tcp({})),
     "malformed"},
    {"segments left", ipv6({.next = IPPROTO_ROUTING}, extension(IPPROTO_TCP, 2, 1) + tcp({})),
     "unsupported_protocol"},
    {"first fragment", ipv4({.fragment = 0x2000}, tcp({})), "allowed"},
    {"first fragment of a datagram",
     ipv4({.protocol = IPPROTO_UDP, .fragment = 0x2000}, udp(1, 2, 8, 3000)), "allowed"},
    {"later fragment", ipv4({.fragment = 0x2002, .id = 1}, tcp({})), "fragments"},
    {"last fragment", ipv4({.fragment = 0x0100, .id = 1}, tcp({})), "fragments"},
    {"first fragment6", ipv6({.next = IPPROTO_FRAGMENT}, fragment_header(IPPROTO_TCP, 1) + tcp({})),
     "allowed"},
    {"later fragment6",
     ipv6({.next = IPPROTO_FRAGMENT}, fragment_header(IPPROTO_TCP, 8, 1) + tcp({})), "fragments"},
    {"esp", ipv4({.protocol = 50}, zeros(20)), "unsupported_protocol"},
    {"icmp of the other family", ipv4({.protocol = IPPROTO_ICMPV6}, icmp(128)),
     "unsupported_protocol"},
    {"authentication header", ipv6({.next = IPPROTO_AH}, zeros(24)), "unsupported_protocol"},
  });
}

TEST_F(packets, with_headers_that_lie_or_end_early_are_dropped) {
  put_in_force(usual());
  auto v4 = ipv4({}, tcp({}));
  auto v6 = ipv6({}, tcp({}));
  expect_all({
    {"version", ipv4({.version = 5}, tcp({})), "malformed"},
    {"header length too small", ipv4({.header_words = 4}, tcp({})), "malformed"},
    {"header length beyond the packet", ipv4({.header_words = 15}, tcp({})), "malformed"},
    {"total length beyond the frame", ipv4({.length_lie = 1}, tcp({})), "malformed"},
    {"total length within the tcp header", ipv4({.length_lie = -1}, tcp({})), "malformed"},
    {"total length within the ip header", ipv4({.length_lie = -30}, tcp({})), "malformed"},
    {"cut tcp header", cut(v4, v4.size() - 1), "malformed"},
    {"tcp data offset too small", ipv4({}, tcp({.words = 4})), "malformed"},
    {"tcp data offset beyond the packet", ipv4({}, tcp({.words = 6})), "malformed"},
    {"udp length too small", ipv4({.protocol = IPPROTO_UDP}, udp(1, 2, 0, -1)), "malformed"},
    {"udp length beyond the packet", ipv4({.protocol = IPPROTO_UDP}, udp(1, 2, 0, 1)), "malformed"},
    {"icmp too short", ipv4({.protocol = IPPROTO_ICMP}, zeros(7)), "malformed"},
    {"payload length beyond the frame", ipv6({.length_lie = 1}, tcp({})), "malformed"},
    {"payload length within the tcp header", ipv6({.length_lie = -1}, tcp({})), "malformed"},
    {"cut ipv6", cut(v6, v6.size() - 20), "malformed"},
    {"extension beyond the packet", ipv6({.next = IPPROTO_DSTOPTS}, extension(IPPROTO_TCP)),
     "malformed"},
    {"lying extension",
     ipv6({.next = IPPROTO_DSTOPTS}, cut(extension(IPPROTO_TCP, 200), 8) + tcp({})), "malformed"},
    {"tcp flags in a later fragment", ipv4({.fragment = 0x2001}, tcp({})), "malformed"},
    {"mapped source", ipv6({.from = "::ffff:10.0.0.1"}, tcp({})), "malformed"},
    {"mapped destination", ipv6({.to = "::ffff:8.8.8.8"}, tcp({})), "malformed"},
  });
}

} // namespace
} // namespace marchproxy::tier_ebpf::testing

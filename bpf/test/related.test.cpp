// SPDX-License-Identifier: AGPL-3.0-only
// Packets that are judged by another one: later fragments, and ICMP errors.
#include "bpf/test/frames.hpp"
#include "bpf/test/tier_fixture.hpp"

namespace marchproxy::tier_ebpf::testing {
namespace {

using model::mapping_action;

constexpr std::string_view router = "172.16.0.1"; // of whom no mapping speaks
constexpr std::string_view router6 = "2001:db8:ffff::1";
constexpr const char* client = "10.0.0.1";
constexpr const char* server = "8.8.8.8";
constexpr unsigned unreachable = 3, redirect = 5, exceeded = 11, parameter_problem = 12;
constexpr unsigned unreachable6 = 1, too_big6 = 2;

book client_may_reach_server(std::uint64_t revision = 5) {
  book b{revision};
  b.map("10.0.0.0/8", "8.8.8.0/24");
  b.map("2001:db8:0::/48", "2001:db8:1::/48");
  return b;
}

class related : public tier_test {
protected:
  void SetUp() override {
    tier_test::SetUp();
    if (tier_)
      put_in_force(client_may_reach_server());
  }

  static bytes about(const bytes& frame,
                     unsigned type = unreachable,
                     std::string_view to = client,
                     std::size_t quoted = 56) {
    return ipv4({.from = router, .to = to, .protocol = IPPROTO_ICMP},
                icmp_about(type, frame, quoted));
  }
  static bytes about6(const bytes& frame, unsigned type = too_big6) {
    return ipv6({.from = router6, .to = "2001:db8::1", .next = IPPROTO_ICMPV6},
                icmp_about(type, frame, 1200));
  }
  static bytes fragment(unsigned field, const bytes& payload, std::string_view to = server) {
    return ipv4({.to = to, .protocol = IPPROTO_UDP, .fragment = field, .id = 77}, payload);
  }
  static bytes fragment6(unsigned field, const bytes& payload, unsigned id = 77) {
    return ipv6({.next = IPPROTO_FRAGMENT}, fragment_header(IPPROTO_UDP, field, id) + payload);
  }
};

TEST_F(related, errors_about_a_connection_pass_and_others_are_judged_as_what_they_are) {
  auto syn = ipv4({}, tcp({}));
  EXPECT_EQ(outcome(about(syn)), "denied_implicit") << "nothing is known of it yet";
  EXPECT_EQ(outcome(syn), "allowed");
  for (auto type : {unreachable, exceeded, parameter_problem})
    EXPECT_EQ(outcome(about(syn, type)), "passed_icmp_error") << type;
  EXPECT_EQ(outcome(about(syn, redirect)), "denied_implicit");
  EXPECT_EQ(outcome(about(syn, unreachable, client, 28)), "passed_icmp_error") << "RFC 792's least";
  EXPECT_EQ(outcome(about(syn, unreachable, client, 27)), "denied_implicit");
  EXPECT_EQ(outcome(about(syn, unreachable, "10.0.0.2")), "denied_implicit")
    << "it goes to somebody who did not send what it quotes";
  EXPECT_EQ(outcome(about(ipv4({}, tcp({.from = 40001})))), "denied_implicit");
  auto answer = ipv4({.from = server, .to = client}, tcp({.from = 443, .to = 40000}));
  EXPECT_EQ(outcome(ipv4({.from = router, .to = server, .protocol = IPPROTO_ICMP},
                         icmp_about(unreachable, answer))),
            "passed_icmp_error")
    << "about the other direction";
}

TEST_F(related, errors_about_datagrams_and_echoes_are_tied_likewise) {
  auto datagram = ipv4({.protocol = IPPROTO_UDP}, udp(5000, 53));
  auto echo = ipv4({.protocol = IPPROTO_ICMP}, icmp(8, 9));
  for (const auto& frame : {datagram, echo}) {
    EXPECT_EQ(outcome(about(frame)), "denied_implicit");
    EXPECT_EQ(outcome(frame), "allowed");
    EXPECT_EQ(outcome(about(frame)), "passed_icmp_error");
  }
}

TEST_F(related, path_mtu_messages_of_ipv6_are_tied_likewise) {
  auto segment = ipv6({}, tcp({}));
  EXPECT_EQ(outcome(about6(segment)), "denied_implicit");
  EXPECT_EQ(outcome(segment), "allowed");
  EXPECT_EQ(outcome(about6(segment)), "passed_icmp_error");
  EXPECT_EQ(outcome(about6(segment, unreachable6)), "passed_icmp_error");
  auto first = fragment6(1, udp(5000, 53, 64));
  EXPECT_EQ(outcome(first), "allowed");
  EXPECT_EQ(outcome(about6(first)), "passed_icmp_error") << "it quotes a fragment header";
}

TEST_F(related, errors_are_of_no_connection_and_count_for_none) {
  auto syn = ipv4({}, tcp({}));
  EXPECT_EQ(outcome(syn), "allowed");
  EXPECT_EQ(outcome(about(syn)), "passed_icmp_error");
  auto found = tier_->find({*parse_ip(client), *parse_ip(server), 40000, 443, IPPROTO_TCP});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->packets + found->reply_packets, 1U);
}

TEST_F(related, errors_about_a_connection_that_a_revision_refuses_do_not_pass) {
  auto syn = ipv4({}, tcp({}));
  EXPECT_EQ(outcome(syn), "allowed");
  auto b = client_may_reach_server(6);
  b.map("10.0.0.0/8", "8.8.8.8", mapping_action::deny);
  put_in_force(b);
  EXPECT_EQ(outcome(about(syn)), "denied_mapping");
}

TEST_F(related, later_fragments_go_where_the_first_went) {
  EXPECT_EQ(outcome(fragment(0x2002, zeros(16))), "fragments") << "before the first";
  EXPECT_EQ(outcome(fragment(0x2000, udp(5000, 53, 8, 3000))), "allowed");
  EXPECT_EQ(outcome(fragment(0x2002, zeros(16))), "allowed");
  EXPECT_EQ(outcome(fragment(0x0004, zeros(5))), "allowed");
  EXPECT_EQ(outcome(ipv4({.protocol = IPPROTO_UDP, .fragment = 4, .id = 78}, zeros(5))),
            "fragments")
    << "of another datagram";
  auto found = tier_->find({*parse_ip(client), *parse_ip(server), 5000, 53, IPPROTO_UDP});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->packets, 3U) << "they count for the connection";
  EXPECT_EQ(outcome(fragment6(1, udp(5000, 53, 8, 3000))), "allowed");
  EXPECT_EQ(outcome(fragment6(16 | 1, zeros(16))), "allowed");
  EXPECT_EQ(outcome(fragment6(32, zeros(5))), "allowed");
  EXPECT_EQ(outcome(fragment6(32, zeros(5), 78)), "fragments");
}

TEST_F(related, fragments_of_answers_are_let_through_too) {
  EXPECT_EQ(outcome(ipv4({.protocol = IPPROTO_UDP}, udp(5000, 53))), "allowed");
  auto answer = [](unsigned field, const bytes& payload) {
    return ipv4({.from = server, .to = client, .protocol = IPPROTO_UDP, .fragment = field},
                payload);
  };
  EXPECT_EQ(outcome(answer(0x2000, udp(53, 5000, 8, 3000))), "allowed");
  EXPECT_EQ(outcome(answer(2, zeros(5))), "allowed");
  put_in_force(client_may_reach_server(6));
  EXPECT_EQ(outcome(answer(0x2000, udp(53, 5000, 8, 3000))), "allowed") << "judged again";
  EXPECT_EQ(outcome(answer(2, zeros(5))), "allowed");
}

TEST_F(related, fragments_of_what_was_refused_are_refused) {
  EXPECT_EQ(outcome(fragment(0x2000, udp(5000, 53, 8, 3000), "9.9.9.9")), "denied_implicit");
  EXPECT_EQ(outcome(fragment(2, zeros(5), "9.9.9.9")), "fragments");
  EXPECT_EQ(outcome(fragment(0x2000, udp(5000, 53, 8, 3000))), "allowed");
  auto b = client_may_reach_server(6);
  b.map("10.0.0.0/8", "8.8.8.8", mapping_action::deny);
  put_in_force(b);
  EXPECT_EQ(outcome(fragment(2, zeros(5))), "denied_mapping") << "a revision came in between";
}

} // namespace
} // namespace marchproxy::tier_ebpf::testing

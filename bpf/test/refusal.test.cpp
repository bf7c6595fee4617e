// SPDX-License-Identifier: AGPL-3.0-only
// What the ends of a connection are told that a revision cuts (POL-12), by test runs.
#include "bpf/test/frames.hpp"
#include "bpf/test/tier_fixture.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>

namespace marchproxy::tier_ebpf::testing {
namespace {

using counts = std::map<std::string, std::uint64_t>;
constexpr std::size_t link = 14;

std::uint32_t number(const bytes& frame, std::size_t at, std::size_t size) {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < size; ++i)
    out = out << 8 | std::to_integer<std::uint32_t>(frame.at(at + i));
  return out;
}

bytes part(const bytes& frame, std::size_t at, std::size_t size) {
  const auto from = frame.begin() + static_cast<std::ptrdiff_t>(at);
  return {from, from + static_cast<std::ptrdiff_t>(size)};
}

/// RFC 1071, over bytes as they are: 0 when the checksum among them is right.
std::uint16_t internet_checksum(const bytes& all) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < all.size(); ++i)
    sum += std::to_integer<std::uint32_t>(all[i]) << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16 != 0)
    sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

/// Addresses, length and protocol as TCP and ICMPv6 sum them up with what is behind the IP header.
bytes with_pseudo_header(const bytes& frame,
                         std::size_t addresses,
                         std::size_t payload_at,
                         unsigned protocol) {
  auto out = part(frame, addresses, payload_at - addresses);
  const auto payload = part(frame, payload_at, frame.size() - payload_at);
  put16(out, 0);
  put16(out, static_cast<unsigned>(payload.size()));
  put16(out, 0);
  put16(out, protocol);
  return out + payload;
}

class refusal : public tier_test {
protected:
  static book open_to_all(std::uint64_t revision, bool active) {
    book b{revision};
    b.map("10.0.0.0/8", "8.8.8.0/24").active = active;
    b.map("2001:db8::/64", "2001:db8:1::/64").active = active;
    return b;
  }
  /// The connection is opened by @p first and cut before @p then. @return what is sent instead
  bytes cut_before(const bytes& first, bytes then) {
    put_in_force(open_to_all(++revision_, true));
    EXPECT_EQ(outcome(first), "allowed");
    put_in_force(open_to_all(++revision_, false));
    std::fill_n(then.begin() + 6, 6, std::byte{0x20}); // to the loopback's address, which is 0
    const auto before = by_name(tier_->totals());
    auto ran = tier_->run(then);
    EXPECT_TRUE(ran);
    told_ = by_name(tier_->totals())["told"] - before.at("told");
    if (told_ == 0)
      return {};
    EXPECT_EQ(part(ran->frame, 0, 6), bytes(6, std::byte{0x20})) << "back to who sent it";
    EXPECT_EQ(part(ran->frame, 6, 6), bytes(6));
    EXPECT_EQ(part(ran->frame, 12, 2), part(then, 12, 2));
    return ran->frame;
  }
  /// Sequence and acknowledgement of a segment.
  static bytes numbered(bytes segment, std::uint32_t sequence, std::uint32_t acknowledged) {
    for (std::size_t i = 0; i < 4; ++i) {
      segment[4 + i] = static_cast<std::byte>(sequence >> (24 - 8 * i));
      segment[8 + i] = static_cast<std::byte>(acknowledged >> (24 - 8 * i));
    }
    return segment;
  }
  std::uint64_t revision_ = 4;
  std::uint64_t told_ = 0;
};

TEST_F(refusal, of_a_segment_is_a_reset_where_its_sender_is) {
  const auto first = ipv4({}, tcp({}));
  const auto sent = cut_before(
    first, ipv4({}, numbered(tcp({.flags = ack, .payload = 100}), 0x01020304, 0xa1b2c3d4)));
  ASSERT_EQ(sent.size(), link + 20 + 20);
  EXPECT_EQ(internet_checksum(part(sent, link, 20)), 0);
  EXPECT_EQ(number(sent, link + 2, 2), 40U);
  EXPECT_EQ(number(sent, link + 12, 4), 0x08080808U);
  EXPECT_EQ(number(sent, link + 16, 4), 0x0a000001U);
  EXPECT_EQ(number(sent, link + 20, 2), 443U);
  EXPECT_EQ(number(sent, link + 22, 2), 40'000U);
  EXPECT_EQ(number(sent, link + 24, 4), 0xa1b2c3d4U) << "the next that the sender expects";
  EXPECT_EQ(number(sent, link + 32, 2), 0x5000U | rst);
  EXPECT_EQ(internet_checksum(with_pseudo_header(sent, link + 12, link + 20, IPPROTO_TCP)), 0);
  // The other end is told when it speaks.
  const auto back =
    cut_before(first, ipv4({.from = "8.8.8.8", .to = "10.0.0.1"},
                           numbered(tcp({.from = 443, .to = 40'000, .flags = ack}), 7, 8)));
  ASSERT_EQ(back.size(), link + 20 + 20);
  EXPECT_EQ(number(back, link + 16, 4), 0x08080808U);
  EXPECT_EQ(number(back, link + 24, 4), 8U);
}

TEST_F(refusal, of_a_segment_that_acknowledges_nothing_acknowledges_it) {
  const auto sent =
    cut_before(ipv4({}, tcp({})), ipv4({}, numbered(tcp({.payload = 10}), 0xfffffffe, 0)));
  ASSERT_EQ(sent.size(), link + 20 + 20);
  EXPECT_EQ(number(sent, link + 24, 4), 0U);
  EXPECT_EQ(number(sent, link + 28, 4), 9U) << "ten bytes and the SYN";
  EXPECT_EQ(number(sent, link + 32, 2), 0x5000U | rst | ack);
  EXPECT_EQ(internet_checksum(with_pseudo_header(sent, link + 12, link + 20, IPPROTO_TCP)), 0);
}

TEST_F(refusal, over_ipv6_is_a_reset_too) {
  const auto sent = cut_before(ipv6({}, tcp({})), ipv6({}, numbered(tcp({.flags = ack}), 1, 2)));
  ASSERT_EQ(sent.size(), link + 40 + 20);
  EXPECT_EQ(number(sent, link, 4), 0x60000000U);
  EXPECT_EQ(number(sent, link + 4, 4), (20U << 16) | (unsigned{IPPROTO_TCP} << 8) | 64U);
  EXPECT_EQ(part(sent, link + 8, 16), part(ipv6({}, {}), link + 24, 16));
  EXPECT_EQ(part(sent, link + 24, 16), part(ipv6({}, {}), link + 8, 16));
  EXPECT_EQ(number(sent, link + 40 + 4, 4), 2U);
  EXPECT_EQ(internet_checksum(with_pseudo_header(sent, link + 8, link + 40, IPPROTO_TCP)), 0);
}

TEST_F(refusal, of_a_datagram_or_a_ping_is_a_message_that_quotes_it) {
  for (const auto& payload : {udp(4'000, 53), icmp(8)}) {
    const auto protocol = payload.size() == 16 ? unsigned{IPPROTO_ICMP} : unsigned{IPPROTO_UDP};
    const auto frame = ipv4({.protocol = protocol, .id = 0x1234}, payload);
    const auto sent = cut_before(frame, frame);
    ASSERT_EQ(sent.size(), link + 20 + 8 + 20 + 8);
    EXPECT_EQ(internet_checksum(part(sent, link, 20)), 0);
    EXPECT_EQ(number(sent, link + 9, 1), unsigned{IPPROTO_ICMP});
    EXPECT_EQ(number(sent, link + 20, 2), (3U << 8) | 13U) << "administratively prohibited";
    EXPECT_EQ(part(sent, link + 28, 28), part(frame, link, 28));
    EXPECT_EQ(internet_checksum(part(sent, link + 20, 36)), 0);
  }
  for (const auto& payload : {udp(4'000, 53), icmp(128)}) {
    const auto protocol = payload.size() == 16 ? unsigned{IPPROTO_ICMPV6} : unsigned{IPPROTO_UDP};
    const auto frame = ipv6({.next = protocol}, payload);
    const auto sent = cut_before(frame, frame);
    ASSERT_EQ(sent.size(), link + 40 + 8 + 40 + 8);
    EXPECT_EQ(number(sent, link + 6, 1), unsigned{IPPROTO_ICMPV6});
    EXPECT_EQ(number(sent, link + 40, 2), (1U << 8) | 1U) << "administratively prohibited";
    EXPECT_EQ(part(sent, link + 48, 48), part(frame, link, 48));
    EXPECT_EQ(internet_checksum(with_pseudo_header(sent, link + 8, link + 40, IPPROTO_ICMPV6)), 0);
  }
}

TEST_F(refusal, is_told_to_nobody_who_was_not_let_in_before_or_asks_for_no_answer) {
  put_in_force(open_to_all(++revision_, false));
  EXPECT_EQ(effect(ipv4({}, tcp({}))), (counts{{"denied_implicit", 1}}));
  EXPECT_EQ(effect(ipv4({.protocol = IPPROTO_UDP}, udp(4'000, 53))),
            (counts{{"denied_implicit", 1}}));
  const auto first = ipv4({}, tcp({}));
  EXPECT_TRUE(cut_before(first, ipv4({}, tcp({.flags = rst}))).empty()) << "a reset";
  EXPECT_TRUE(cut_before(first, ipv4({.options = 4}, tcp({.flags = ack}))).empty()) << "options";
  const auto ping = ipv4({.protocol = IPPROTO_ICMP}, icmp(8));
  EXPECT_TRUE(
    cut_before(ping, ipv4({.from = "8.8.8.8", .to = "10.0.0.1", .protocol = IPPROTO_ICMP}, icmp(0)))
      .empty())
    << "an echo reply";
}

TEST_F(refusal, is_told_to_so_many_at_a_time) {
  static_cast<void>(cut_before(ipv4({}, tcp({})), ipv4({}, tcp({.flags = ack}))));
  const auto frame = ipv4({}, tcp({.flags = ack}));
  constexpr std::uint64_t packets = 20'000;
  const auto before = by_name(tier_->totals());
  const auto began = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < packets; ++i)
    ASSERT_TRUE(tier_->run(frame));
  const auto ticks = static_cast<std::uint64_t>(
    (std::chrono::steady_clock::now() - began) / std::chrono::nanoseconds{1 << MP_EVENT_TICK_BITS});
  auto after = by_name(tier_->totals());
  EXPECT_EQ(after["denied_implicit"] - before.at("denied_implicit"), packets);
  const auto told = after["told"] - before.at("told");
  EXPECT_GE(told, 1U);
  const auto cpus = static_cast<std::uint64_t>(sysconf(_SC_NPROCESSORS_ONLN)); // each has its own
  EXPECT_LE(told, MP_TOLD_A_TICK * (ticks + 2) * cpus);
  EXPECT_LT(told, packets);
}

} // namespace
} // namespace marchproxy::tier_ebpf::testing

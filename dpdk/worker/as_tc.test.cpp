// SPDX-License-Identifier: AGPL-3.0-only
// Packets, well-formed and not, through the kernel's tc program and through the worker: one
// outcome, one effect on the counters.
#include "bpf/loader/probe_frame.hpp"
#include "bpf/test/privileges.hpp"
#include "dpdk/worker/worker_fixture.test.hpp"
#include "tests/support/random_policy.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

namespace marchproxy::packet_worker::testing {
namespace {

using tier_ebpf::testing::privileged;
using worker_as_tc = worker_test;
using namespace tier_ebpf::testing;

std::string hex(const bytes& of) {
  std::string out;
  for (auto b : of) {
    constexpr std::string_view digits = "0123456789abcdef";
    out += digits[std::to_integer<unsigned>(b) >> 4];
    out += digits[std::to_integer<unsigned>(b) & 15];
  }
  return out;
}

class frame_maker {
public:
  frame_maker(std::uint64_t seed, const model::ruleset& rules) : random_(seed), policy_(seed) {
    flows_ = policy_.flows(rules, 2'000, false);
  }

  /// A frame of one of a few thousand flows, in either direction, damaged one time in three.
  bytes next() {
    const auto& f = flows_[random_() % flows_.size()].flow;
    auto out = whole(f);
    auto about = std::exchange(before_, out);
    if (random_() % 6 == 0 && !about.empty() && is_ipv4(about) == is_ipv4(out))
      out = error_about(about);
    if (random_() % 3 == 0)
      damage(out);
    // The kernel's test run takes frames of this size only; the tag of a VLAN it would not remove.
    out.resize(std::max<std::size_t>(out.size(), 14));
    out[12] = f.source.family == ip_family::v4 ? std::byte{0x08} : std::byte{0x86};
    out[13] = f.source.family == ip_family::v4 ? std::byte{0x00} : std::byte{0xdd};
    return out; // to the hardware address 0, which is that of the loopback
  }

private:
  static bool is_ipv4(const bytes& frame) {
    return frame.size() > 13 && frame[12] == std::byte{0x08};
  }
  /// From a router on the way, to who sent it.
  bytes error_about(const bytes& frame) {
    auto at = static_cast<std::ptrdiff_t>(is_ipv4(frame) ? 26 : 22);
    auto quoted = random_() % 80;
    if (is_ipv4(frame)) {
      ip_address to;
      std::copy_n(reinterpret_cast<const std::uint8_t*>(frame.data()) + at, 4, to.bytes.begin());
      return ipv4({.from = "172.16.0.1", .to = to_string(to), .protocol = IPPROTO_ICMP},
                  icmp_about(3, frame, quoted));
    }
    std::array<std::uint8_t, 16> to{};
    std::copy_n(reinterpret_cast<const std::uint8_t*>(frame.data()) + at, 16, to.begin());
    return ipv6(
      {.from = "2001:db8:ffff::1", .to = to_string(ip_address::v6(to)), .next = IPPROTO_ICMPV6},
      icmp_about(2, frame, quoted));
  }
  bytes whole(const policy::flow& f) {
    auto from = to_string(f.source);
    auto to = to_string(*f.destination);
    std::uint16_t source_port = 40'000;
    auto port = f.port;
    if (random_() % 3 == 0) {
      std::swap(from, to);
      std::swap(source_port, port);
    }
    constexpr std::array<unsigned, 8> flags{syn, syn, syn | ack, ack, ack | fin, rst, rst | ack, 0};
    auto v6 = f.source.family == ip_family::v6;
    bytes payload;
    unsigned protocol = IPPROTO_TCP;
    switch (f.protocol) {
    case model::protocol::tcp:
      payload = tcp({.from = source_port, .to = port, .flags = flags[random_() % flags.size()]});
      break;
    case model::protocol::udp:
      payload = udp(source_port, port);
      protocol = IPPROTO_UDP;
      break;
    case model::protocol::icmp:
      protocol = v6 ? unsigned{IPPROTO_ICMPV6} : unsigned{IPPROTO_ICMP};
      payload = icmp(random_() % 2 == 0 ? (v6 ? 128 : 8) : static_cast<unsigned>(random_() % 150));
      break;
    }
    auto odd = random_() % 8;
    if (!v6)
      return ipv4({.from = from,
                   .to = to,
                   .protocol = protocol,
                   .fragment = odd == 0   ? 0x2000U
                               : odd == 1 ? static_cast<unsigned>(random_() % 0x4000)
                                          : 0U,
                   .options = odd == 2 ? 8U : 0U},
                  payload);
    if (odd == 0)
      return ipv6({.from = from, .to = to, .next = IPPROTO_FRAGMENT},
                  fragment_header(protocol, static_cast<unsigned>(random_() % 32)) + payload);
    if (odd == 1)
      return ipv6({.from = from, .to = to, .next = IPPROTO_DSTOPTS},
                  extension(protocol, random_() % 3) + payload);
    if (odd == 2)
      return ipv6({.from = from, .to = to, .next = IPPROTO_ROUTING},
                  extension(protocol, 0, static_cast<unsigned>(random_() % 2)) + payload);
    return ipv6({.from = from, .to = to, .next = protocol}, payload);
  }

  void damage(bytes& frame) {
    for (auto n = 1 + random_() % 3; n > 0; --n)
      frame[14 + random_() % (frame.size() - 14)] = static_cast<std::byte>(random_());
    if (random_() % 3 == 0)
      frame.resize(14 + random_() % (frame.size() - 14));
  }

  std::mt19937_64 random_;
  bytes before_;
  marchproxy::testing::policy_generator policy_;
  std::vector<marchproxy::testing::flow_case> flows_;
};

/// Neither knows of an address of its own.
TEST_F(worker_as_tc, has_the_same_outcome_for_random_packets) {
  if (!privileged())
    return;
  constexpr std::uint64_t seed = 20261130;
  auto tier = tier_ebpf::tier::load({.connections = 65'536});
  ASSERT_TRUE(tier) << marchproxy::to_string(tier.error());
  auto view = usual_view();
  view.own.clear();
  view.links[inside].address = {};
  set_view(view);
  marchproxy::testing::policy_generator random{seed};
  std::map<std::string, std::uint64_t> sums;
  std::vector<bytes> earlier;
  for (std::uint64_t round = 1; round <= 10; ++round) {
    auto rules = random.ruleset({.mappings = 40, .services = 30}, round);
    auto program = policy::program::compile(rules);
    if (!program)
      continue;
    ASSERT_TRUE((*tier)->prepare(*program) && (*tier)->commit());
    ASSERT_TRUE(pool_.prepare(*program) && pool_.commit());
    frame_maker frames{seed + round, *rules};
    std::vector<bytes> these;
    for (std::size_t i = 0; i < 5'000; ++i) {
      // Connections of the round before are judged again.
      auto frame = i % 8 == 0 && i < earlier.size() ? earlier[i] : frames.next();
      auto kernel_before = tier_ebpf::by_name((*tier)->totals());
      auto worker_before = tier_ebpf::by_name(pool_.totals());
      auto ran = (*tier)->run(frame);
      if (!ran)
        continue; // the kernel makes no packet of that little
      ASSERT_TRUE(ports_[inside]->arrive(frame));
      while (pool_.turn() > 0) {
      }
      const auto said = take().sent[inside];
      auto kernel_now = tier_ebpf::by_name((*tier)->totals());
      auto worker_now = tier_ebpf::by_name(pool_.totals());
      for (const auto& [name, value] : kernel_now) {
        // How many are told of in a moment depends on the moment; in a test run nothing is sent.
        if (name.starts_with("events_") || name == "forwarded")
          continue;
        auto kernel = value - kernel_before[name];
        ASSERT_EQ(worker_now[name] - worker_before[name], kernel)
          << name << ", seed " << seed << " round " << round << " packet " << i;
        sums[name] += kernel;
      }
      if (worker_now["told"] != worker_before["told"]) {
        ASSERT_EQ(said.size(), 1u);
        ASSERT_EQ(hex(said[0]), hex(ran->frame))
          << "about " << hex(frame) << ", seed " << seed << " round " << round << " packet " << i;
      }
      these.push_back(std::move(frame));
    }
    earlier = std::move(these);
  }
  for (const auto* name :
       {"allowed", "denied_implicit", "denied_mapping", "denied_auth", "malformed", "fragments",
        "unsupported_protocol", "no_connection", "new_flows", "tracked_hits", "passed_icmp_error",
        "revalidated", "confirmed", "told"})
    EXPECT_GT(sums[name], 0u) << name;
}

} // namespace
} // namespace marchproxy::packet_worker::testing

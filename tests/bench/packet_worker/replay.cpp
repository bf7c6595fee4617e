// SPDX-License-Identifier: AGPL-3.0-only
#include "tests/bench/packet_worker/replay.hpp"

#include "bpf/loader/probe_frame.hpp"
#include "dpdk/worker/burst_lookup.hpp"
#include "tests/bench/rounds.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace marchproxy::bench {

namespace {

constexpr std::size_t ttl_at = 22;
constexpr std::size_t source_port_at = 34;
constexpr forwarding::mac_address no_address{}; // as in first_frame()

void check(const result<void>& done) {
  if (done)
    return;
  std::fprintf(stderr, "%s\n", to_string(done.error()).c_str());
  std::exit(1);
}

} // namespace

replay_port::replay_port(std::span<const policy::flow> flows, renewal what)
  : what_(what), frames_(flows.size()), sizes_(flows.size()) {
  for (std::size_t i = 0; i < flows.size(); ++i) {
    auto frame = *tier_ebpf::first_frame(flows[i]);
    sizes_[i] = static_cast<std::uint32_t>(frame.size);
    std::memcpy(frames_[i].data(), frame.bytes.data(), frame.size);
  }
}

void replay_port::renew(std::byte* frame) const noexcept {
  frame[ttl_at] = std::byte{64};
  if (what_ != renewal::hops_and_sources)
    return;
  frame[source_port_at] = static_cast<std::byte>(round_ >> 8);
  frame[source_port_at + 1] = static_cast<std::byte>(round_ & 0xff);
}

std::size_t replay_port::receive(std::span<packet_port::frame> into) noexcept {
  auto count = std::min({into.size(), packet_port::most_in_burst, frames_.size() - next_});
  for (std::size_t i = 0; i < count; ++i, ++next_) {
    auto* data = frames_[next_].data();
    renew(data);
    std::memset(data, 0, 12); // hardware addresses
    into[i] = {data, sizes_[next_], next_};
  }
  if (next_ == frames_.size()) {
    next_ = 0;
    ++round_;
  }
  return count;
}

sized make_sized(std::size_t rules) {
  marchproxy::testing::policy_generator random{42};
  sized out;
  out.rules = random.nested({.rules = rules, .ipv6 = false}, rules);
  auto program = policy::program::compile(out.rules);
  if (!program) {
    std::fprintf(stderr, "%s\n", to_string(program.error()).c_str());
    std::exit(1);
  }
  out.program = *program;
  for (const auto& f : random.flows(*out.rules, 60'000, false)) {
    auto routed = [](const ip_address& a) {
      return a.family == ip_family::v4 && a.bytes[0] != 0 && a.bytes[0] != 127 && a.bytes[0] < 224;
    };
    if (!routed(f.flow.source) || !f.flow.destination || !routed(*f.flow.destination)
        || f.flow.protocol == model::protocol::icmp)
      continue;
    out.all.push_back(f.flow);
    (out.program->decide(f.flow).allowed() ? out.allowed : out.refused).push_back(f.flow);
  }
  return out;
}

void classify(std::span<const std::byte> image,
              std::span<const mp_tuple> flows,
              std::span<std::uint32_t> answers) noexcept {
  using packet_worker::burst_lookup;
  static burst_lookup lookup;
  std::array<mp_rule, burst_lookup::room> rules{};
  auto together = image.size() > burst_lookup::cached_image;
  lookup.begin(image.data());
  for (std::size_t i = 0; i < flows.size(); ++i) {
    if (together)
      lookup.add(flows[i], rules[i]);
    else
      rules[i] = packet_worker::decide(image.data(), flows[i]);
  }
  lookup.run();
  for (std::size_t i = 0; i < flows.size(); ++i)
    answers[i] = static_cast<std::uint32_t>(2 * rules[i].mapping)
                 + ((rules[i].flags & MP_RULE_ACTION) != 0 ? 1U : 0U);
}

std::shared_ptr<const forwarding::table> everything_back(int ifindex,
                                                         const forwarding::mac_address& mac) {
  forwarding::kernel_view view;
  view.routes4 = true;
  view.links = {{ifindex, "bench", mac, 1500}};
  view.neighbours = {{ifindex, *parse_ip("192.0.2.2"), mac, false}};
  view.routes = {{*parse_prefix("0.0.0.0/0"), 0, ifindex, parse_ip("192.0.2.2")}};
  return forwarding::table::make(view, std::array{ifindex}, 1);
}

bench_worker::bench_worker(const sized& policy, std::span<const policy::flow> flows, renewal what)
  : port_(flows, what), pool_({.connections = 65'536}, {{&port_}}) {
  check(pool_.set_table(everything_back(1, no_address)));
  check(pool_.prepare(policy.program));
  check(pool_.commit());
}

double bench_worker::packet_ns(std::size_t packets) {
  std::size_t done = 0;
  auto begin = cpu_seconds();
  while (done < packets)
    done += pool_.turn();
  return (cpu_seconds() - begin) * 1e9 / static_cast<double>(done);
}

} // namespace marchproxy::bench

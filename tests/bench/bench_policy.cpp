// SPDX-License-Identifier: AGPL-3.0-only
// make bench SUITE=policy: what a verdict costs as rules grow, what they cost to compile and to
// keep in the kernel. Rules have random nested prefixes; flows are drawn from them
// (tests/support/random_policy.hpp). Each line compares a large policy with a small one in
// alternating rounds of one run; medians.
#include "bpf/loader/probe_frame.hpp"
#include "bpf/loader/tier.hpp"
#include "tests/bench/rounds.hpp"
#include "tests/support/random_policy.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <vector>

using namespace marchproxy;

namespace {

using namespace bench;

struct sized_policy {
  std::shared_ptr<const policy::program> program;
  std::vector<testing::flow_case> flows;
  double compile_seconds = 0;
  double decode_seconds = 0; ///< from a revision's canonical bytes
};

sized_policy make(std::size_t rules, bool ipv6) {
  testing::policy_generator random{42};
  auto set = random.nested({.rules = rules, .ipv6 = ipv6}, rules);
  std::vector<double> times;
  sized_policy out;
  for (int i = 0; i < 3; ++i) {
    auto begin = cpu_seconds();
    auto compiled = policy::program::compile(set);
    times.push_back(cpu_seconds() - begin);
    if (!compiled) {
      std::fprintf(stderr, "%s\n", to_string(compiled.error()).c_str());
      std::exit(1);
    }
    out.program = *compiled;
  }
  out.compile_seconds = median(times);
  const auto bytes = model::encode(*set);
  times.clear();
  for (int i = 0; i < 3; ++i) {
    auto begin = cpu_seconds();
    auto decoded = model::decode_ruleset(bytes);
    times.push_back(cpu_seconds() - begin);
    if (!decoded) {
      std::fprintf(stderr, "%s\n", to_string(decoded.error()).c_str());
      std::exit(1);
    }
  }
  out.decode_seconds = median(times);
  out.flows = random.flows(*set, 20000, false);
  std::erase_if(out.flows, [&](const testing::flow_case& f) {
    return f.flow.source.family != f.flow.destination->family
           || (f.flow.source.family == ip_family::v6) != ipv6
           || f.flow.protocol == model::protocol::icmp;
  });
  return out;
}

/// Mean of the first @p count flows, each judged in turn and all of them over and over.
double evaluator_ns(const sized_policy& p, std::size_t count) {
  constexpr std::size_t verdicts = 200'000;
  count = std::min(count, p.flows.size());
  volatile bool sink = false;
  auto turns = std::max<std::size_t>(1, verdicts / count);
  auto begin = cpu_seconds();
  for (std::size_t turn = 0; turn < turns; ++turn)
    for (std::size_t i = 0; i < count; ++i)
      sink = p.program->decide(p.flows[i].flow).allowed();
  static_cast<void>(sink);
  return (cpu_seconds() - begin) * 1e9 / static_cast<double>(turns * count);
}

/// Each policy in a tier of its own, so that rounds can alternate.
class kernel_policy {
public:
  explicit kernel_policy(const sized_policy& p)
    : policy_(p), tier_(std::move(*tier_ebpf::tier::load())) {
    auto done = tier_->prepare(p.program);
    if (done)
      done = tier_->commit();
    if (!done) {
      std::fprintf(stderr, "%s\n", to_string(done.error()).c_str());
      std::exit(1);
    }
  }
  /// Mean over many flows, each judged a few times: the program's own time, without table and
  /// counters.
  double verdict_ns() const {
    double sum = 0;
    std::size_t count = 0;
    for (std::size_t i = 0; i < policy_.flows.size() && count < 2000; i += 7, ++count)
      if (auto cost = tier_->judge_cost(policy_.flows[i].flow, 1))
        sum += static_cast<double>(cost->count());
    return sum / static_cast<double>(count);
  }
  /// Mean over packets that open a connection or are refused: the program as it is attached, with
  /// the table, counters and reports. Each call takes other flows.
  double new_flow_ns();
  /// One tracked UDP connection, many packets of it.
  double tracked_ns() const;

private:
  const sized_policy& policy_;
  std::unique_ptr<tier_ebpf::tier> tier_;
  std::size_t next_ = 0;
};

double kernel_policy::new_flow_ns() {
  constexpr std::size_t each_round = 1500;
  double sum = 0;
  std::size_t count = 0;
  while (count < each_round && next_ < policy_.flows.size()) {
    auto frame = tier_ebpf::first_frame(policy_.flows[next_++].flow);
    auto run = frame ? tier_->run(frame->view(), 1) : tl::unexpected(frame.error());
    if (!run)
      continue;
    sum += static_cast<double>(run->each.count());
    ++count;
  }
  return sum / static_cast<double>(count);
}

/// What the other end sends back: UDP without options.
tier_ebpf::probe_frame answer_to(tier_ebpf::probe_frame frame) {
  constexpr std::size_t ether_type = 12;
  const bool ipv4 = frame.bytes[ether_type] == std::byte{0x08};
  const std::size_t address = ipv4 ? 4 : 16;
  const std::size_t source = ipv4 ? 26 : 22;
  auto* at = frame.bytes.data() + source;
  std::swap_ranges(at, at + address, at + address);
  at += 2 * address; // the ports
  std::swap_ranges(at, at + 2, at + 2);
  return frame;
}

double kernel_policy::tracked_ns() const {
  for (const auto& f : policy_.flows) {
    auto v = tier_->judge(f.flow);
    if (!v || !v->allowed() || f.flow.protocol != model::protocol::udp)
      continue;
    auto frame = tier_ebpf::first_frame(f.flow);
    // Enters it, and confirms it.
    if (!frame || !tier_->run(frame->view()) || !tier_->run(answer_to(*frame).view()))
      continue;
    auto many = tier_->run(frame->view(), 100000);
    if (many && many->passed)
      return static_cast<double>(many->each.count());
  }
  std::fprintf(stderr, "no flow to track\n");
  std::exit(1);
}

} // namespace

int main() {
  for (auto ipv6 : {false, true}) {
    const auto* family = ipv6 ? "ipv6" : "ipv4";
    auto small = make(10, ipv6);
    auto large = make(100000, ipv6);
    char name[96];
    auto named = [&](const char* what) {
      std::snprintf(name, sizeof name, "policy/%s/%s", what, family);
      return name;
    };
    // Repeated flows find the tables in the caches; many flows over a large image do not.
    auto few_flows = [](const sized_policy& p) { return evaluator_ns(p, 256); };
    auto all_flows = [](const sized_policy& p) { return evaluator_ns(p, p.flows.size()); };
    auto c = alternate([&] { return few_flows(large); }, [&] { return few_flows(small); });
    line(named("evaluator_new_flow_ns_100000_rules_over_10"), c.a, c.b, c.ratio, 1.3);
    c = alternate([&] { return all_flows(large); }, [&] { return all_flows(small); });
    line(named("evaluator_new_flow_uncached_ns_100000_rules_over_10"), c.a, c.b, c.ratio, 1.3);
    line(named("compile_seconds_100000_rules"), large.compile_seconds, 0.5,
         large.compile_seconds / 0.5, 1.0);
    // With the 200,000 services that the rules name.
    line(named("decode_seconds_100000_rules"), large.decode_seconds, 2.0,
         large.decode_seconds / 2.0, 1.0);
    auto each = static_cast<double>(large.program->image().size()) / 100000.0 / 1024.0;
    line(named("kernel_kib_a_rule_at_100000"), each, 0.5, each / 0.5, 1.0);
    if (::geteuid() != 0) {
      std::fprintf(stderr, "not root: without the tc program\n");
      continue;
    }
    kernel_policy few{small};
    kernel_policy many{large};
    c = alternate([&] { return many.new_flow_ns(); }, [&] { return few.new_flow_ns(); });
    line(named("tc_new_flow_ns_100000_rules_over_10"), c.a, c.b, c.ratio, 1.3);
    c = alternate([&] { return many.verdict_ns(); }, [&] { return few.verdict_ns(); });
    line(named("tc_lookup_alone_ns_100000_rules_over_10"), c.a, c.b, c.ratio, 1.3);
    c = alternate([&] { return many.tracked_ns(); }, [&] { return few.tracked_ns(); });
    line(named("tc_tracked_flow_ns_100000_rules_over_10"), c.a, c.b, c.ratio, 1.05);
  }
  return all_ok() ? 0 : 1;
}

// SPDX-License-Identifier: AGPL-3.0-only
// make bench SUITE=policy: what a verdict costs as rules grow, what they cost to compile and to
// keep in the kernel. Rules have random nested prefixes; flows are drawn from them
// (tests/support/random_policy.hpp). Each line compares a large policy with a small one in
// alternating rounds of one run; medians.
#include "bpf/loader/probe_frame.hpp"
#include "bpf/loader/tier.hpp"
#include "tests/support/random_policy.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <vector>

using namespace marchproxy;
using clock_type = std::chrono::steady_clock;

namespace {

constexpr int rounds = 7;
bool all_ok = true;

void line(const char* name, double ours, double against, double ratio, double goal) {
  auto ok = ratio <= goal;
  all_ok = all_ok && ok;
  std::printf(
    "{\"name\":\"%s\",\"ours\":%.3f,\"against\":%.3f,\"ratio\":%.3f,\"goal\":%.3f,\"ok\":%s}\n",
    name, ours, against, ratio, goal, ok ? "true" : "false");
  std::fflush(stdout);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Medians of A and B in rounds A B B A A B ..., and of their ratios.
struct compared {
  double a = 0;
  double b = 0;
  double ratio = 0;
};
compared alternate(const std::function<double()>& a, const std::function<double()>& b) {
  std::vector<double> as;
  std::vector<double> bs;
  std::vector<double> ratios;
  for (int i = 0; i < rounds; ++i) {
    auto first = i % 2 == 0 ? a() : b();
    auto second = i % 2 == 0 ? b() : a();
    as.push_back(i % 2 == 0 ? first : second);
    bs.push_back(i % 2 == 0 ? second : first);
    ratios.push_back(as.back() / bs.back());
  }
  return {median(as), median(bs), median(ratios)};
}

struct sized_policy {
  std::shared_ptr<const policy::program> program;
  std::vector<testing::flow_case> flows;
  double compile_seconds = 0;
};

sized_policy make(std::size_t rules, bool ipv6) {
  testing::policy_generator random{42};
  auto set = random.nested({.rules = rules, .ipv6 = ipv6}, rules);
  std::vector<double> times;
  sized_policy out;
  for (int i = 0; i < 3; ++i) {
    auto begin = clock_type::now();
    auto compiled = policy::program::compile(set);
    times.push_back(std::chrono::duration<double>(clock_type::now() - begin).count());
    if (!compiled) {
      std::fprintf(stderr, "%s\n", to_string(compiled.error()).c_str());
      std::exit(1);
    }
    out.program = *compiled;
  }
  out.compile_seconds = median(times);
  out.flows = random.flows(*set, 20000, false);
  std::erase_if(out.flows, [&](const testing::flow_case& f) {
    return f.flow.source.family != f.flow.destination->family
           || (f.flow.source.family == ip_family::v6) != ipv6
           || f.flow.protocol == model::protocol::icmp;
  });
  return out;
}

double evaluator_ns(const sized_policy& p) {
  volatile bool sink = false;
  auto begin = clock_type::now();
  for (const auto& f : p.flows)
    sink = p.program->decide(f.flow).allowed();
  static_cast<void>(sink);
  return std::chrono::duration<double, std::nano>(clock_type::now() - begin).count()
         / static_cast<double>(p.flows.size());
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
  double new_flow_ns() const {
    double sum = 0;
    std::size_t count = 0;
    for (std::size_t i = 0; i < policy_.flows.size() && count < 2000; i += 7, ++count)
      if (auto cost = tier_->judge_cost(policy_.flows[i].flow, 1))
        sum += static_cast<double>(cost->count());
    return sum / static_cast<double>(count);
  }
  /// One tracked UDP connection, many packets of it.
  double tracked_ns() const;

private:
  const sized_policy& policy_;
  std::unique_ptr<tier_ebpf::tier> tier_;
};

double kernel_policy::tracked_ns() const {
  for (const auto& f : policy_.flows) {
    auto v = tier_->judge(f.flow);
    if (!v || !v->allowed() || f.flow.protocol != model::protocol::udp)
      continue;
    auto frame = tier_ebpf::first_frame(f.flow);
    if (!frame || !tier_->run(frame->view(), 1)) // enters it into the table
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
    auto c = alternate([&] { return evaluator_ns(large); }, [&] { return evaluator_ns(small); });
    line(named("evaluator_new_flow_ns_100000_rules_over_10"), c.a, c.b, c.ratio, 1.3);
    line(named("compile_seconds_100000_rules"), large.compile_seconds, 0.5,
         large.compile_seconds / 0.5, 1.0);
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
    c = alternate([&] { return many.tracked_ns(); }, [&] { return few.tracked_ns(); });
    line(named("tc_tracked_flow_ns_100000_rules_over_10"), c.a, c.b, c.ratio, 1.05);
  }
  return all_ok ? 0 : 1;
}

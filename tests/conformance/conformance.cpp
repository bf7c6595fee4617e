// SPDX-License-Identifier: AGPL-3.0-only
// The same random flows through everything that judges: the reference evaluator, the compiled
// program, the relay's decision, the packet worker's lookups, the tc and the XDP program in the
// kernel (BPF_PROG_TEST_RUN). Any difference fails.
//   conformance [--policies N] [--flows N] [--seed N]
#include "actors/identity/data_auth.hpp"
#include "bpf/loader/probe.hpp"
#include "bpf/loader/tier.hpp"
#include "dpdk/worker/burst_lookup.hpp"
#include "nodes/relay/judge.hpp"
#include "tests/support/options.hpp"
#include "tests/support/random_policy.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

using namespace marchproxy;

namespace {

struct counts {
  std::uint64_t flows = 0;
  std::uint64_t in_kernel = 0;
  std::uint64_t allowed = 0;
  std::uint64_t denied_by_mapping = 0;
  std::uint64_t denied_by_default = 0;
  std::uint64_t observed = 0; ///< of these denials, what is let through all the same
  std::uint64_t limited = 0;  ///< of those in the kernel, what limits hold for
  std::uint64_t differences = 0;
};

void report(const char* who,
            const testing::flow_case& f,
            const policy::verdict& got,
            const policy::verdict& want) {
  std::fprintf(stderr, "%s differs on %s: mapping %lu action %d instead of mapping %lu action %d\n",
               who, f.text().c_str(), static_cast<unsigned long>(got.mapping.value),
               static_cast<int>(got.action), static_cast<unsigned long>(want.mapping.value),
               static_cast<int>(want.action));
}

policy::verdict verdict_of(const mp_rule& rule, revision of) {
  return policy::verdict_of_rule(rule.flags, mapping_id{rule.mapping}, of);
}

/// The packet worker's lookup one by one and, of IPv4, as part of a burst.
template <class Check>
void check_packet_worker(const policy::program& program, const policy::flow& flow, Check check) {
  static packet_worker::burst_lookup together;
  auto v4 = flow.source.family == ip_family::v4;
  auto icmp = v4 ? std::uint8_t{MP_IP_ICMP} : std::uint8_t{MP_IP_ICMP6};
  tier_ebpf::five_tuple five{flow.source, *flow.destination, 40'000, flow.port, MP_IP_TCP};
  if (flow.protocol != model::protocol::tcp)
    five.protocol = flow.protocol == model::protocol::udp ? std::uint8_t{MP_IP_UDP} : icmp;
  auto tuple = tier_ebpf::to_abi(five);
  const auto* image = program.image().data();
  const auto rule = packet_worker::decide(image, tuple);
  check("packet worker", verdict_of(rule, program.revision()));
  const auto keys = packet_worker::limits_of(image, rule, tuple);
  const auto found = program.limits_of(flow);
  const auto key = [](const mp_limits* l) { return l != nullptr ? l->key : 0U; };
  if (keys[0] != key(found.mapping) || keys[1] != key(found.service))
    check("packet worker's limits", policy::verdict{});
  if (!v4)
    return;
  std::array<mp_rule, 2> rules{};
  together.begin(image);
  for (auto& r : rules)
    together.add(tuple, r);
  together.run();
  for (const auto& r : rules)
    check("packet worker's burst", verdict_of(r, program.revision()));
}

void compare(const relay::policy_snapshot& snapshot,
             tier_ebpf::tier* kernel,
             const testing::flow_case& f,
             counts& sum) {
  auto flow = f.view();
  auto want = policy::reference_decide(snapshot.program->rules(), flow);
  ++sum.flows;
  sum.allowed += want.allowed() ? 1U : 0U;
  sum.denied_by_mapping += !want.allowed() && want.mapping ? 1U : 0U;
  sum.denied_by_default += !want.allowed() && !want.mapping ? 1U : 0U;
  sum.observed += !want.allowed() && want.observe ? 1U : 0U;
  auto check = [&](const char* who, const policy::verdict& got) {
    if (got == want)
      return;
    ++sum.differences;
    report(who, f, got, want);
  };
  check("program", snapshot.program->decide(flow));
  if (flow.protocol == model::protocol::tcp && flow.destination)
    check("relay",
          relay::judge_address(&snapshot, {flow.source, flow.name, flow.port}, *flow.destination)
            .verdict);
  if (!flow.name.empty() || !flow.destination || flow.destination->family != flow.source.family)
    return; // no packet is of such a flow
  check_packet_worker(*snapshot.program, flow, check);
  if (kernel == nullptr)
    return;
  auto judged = kernel->judge(flow);
  if (!judged) {
    ++sum.differences;
    std::fprintf(stderr, "tc program on %s: %s\n", f.text().c_str(),
                 to_string(judged.error()).c_str());
    return;
  }
  ++sum.in_kernel;
  check("tc program", *judged);
  const auto limits = snapshot.program->limits_of(flow);
  const auto key = [](const mp_limits* l) { return l != nullptr ? l->key : 0U; };
  sum.limited += limits.mapping != nullptr || limits.service != nullptr ? 1U : 0U;
  if (auto word = kernel->limits_word(flow);
      !word || *word != mp_limits_word(key(limits.mapping), key(limits.service))) {
    ++sum.differences;
    std::fprintf(stderr, "tc program on %s: other limits\n", f.text().c_str());
  }
  if (auto at_driver = kernel->judge_xdp(flow)) {
    check("XDP program", *at_driver);
  } else {
    ++sum.differences;
    std::fprintf(stderr, "XDP program on %s: %s\n", f.text().c_str(),
                 to_string(at_driver.error()).c_str());
  }
}

/// Mostly small policies of every kind; each thirtieth is large enough for the image's indexes and
/// jump tables.
std::shared_ptr<const model::ruleset> ruleset(testing::policy_generator& random, std::uint64_t i) {
  if (i % 30 == 29)
    return random.nested({.rules = 1500, .ipv6 = i % 60 == 59}, i + 1);
  testing::policy_shape shape;
  shape.mappings = 1 + i * 7 % 120;
  shape.services = 2 + i * 5 % 80;
  shape.shortest_prefix = static_cast<unsigned>(1 + i % 12);
  shape.observed = i % 2 == 1 ? 0.3 : 0;
  shape.observe_all = i % 7 == 3;
  shape.limited = i % 3 == 2 ? 0.4 : 0;
  shape.lenient = i % 2 == 0 ? 0.5 : 0;
  return random.ruleset(shape, i + 1);
}

} // namespace

int main(int argc, char** argv) {
  testing::options options{argc, argv};
  auto policies = options.number("--policies", 60);
  auto flows = options.number("--flows", 12000);
  auto seed = options.number("--seed", 1);
  std::unique_ptr<tier_ebpf::tier> kernel;
  if (::geteuid() == 0) {
    auto loaded = tier_ebpf::tier::load();
    if (!loaded) {
      std::fprintf(stderr, "the tc program cannot be loaded: %s\n",
                   to_string(loaded.error()).c_str());
      return 1;
    }
    kernel = std::move(*loaded);
    if (auto done = kernel->load_xdp(); !done) {
      std::fprintf(stderr, "the XDP program cannot be loaded: %s\n",
                   to_string(done.error()).c_str());
      return 1;
    }
  } else {
    std::fprintf(stderr, "not root: without the packet programs\n");
  }
  counts sum;
  auto each = (flows + policies - 1) / policies;
  for (std::uint64_t i = 0; i < policies; ++i) {
    testing::policy_generator random{seed * 1'000'003 + i};
    auto rules = ruleset(random, i);
    auto program = policy::program::compile(rules);
    if (!program) {
      std::fprintf(stderr, "policy %lu: %s\n", static_cast<unsigned long>(i),
                   to_string(program.error()).c_str());
      return 1;
    }
    relay::policy_snapshot snapshot{*program,
                                    std::make_shared<const identity::authenticator>(*rules)};
    if (kernel) {
      auto done = kernel->prepare(*program);
      if (done)
        done = kernel->commit();
      if (!done) {
        std::fprintf(stderr, "policy %lu: %s\n", static_cast<unsigned long>(i),
                     to_string(done.error()).c_str());
        return 1;
      }
    }
    for (const auto& f : random.flows(*rules, each, i % 3 == 0))
      compare(snapshot, kernel.get(), f, sum);
  }
  auto varied = sum.allowed * 20 > sum.flows
                && (sum.denied_by_mapping + sum.denied_by_default) * 20 > sum.flows
                && sum.observed * 100 > sum.flows;
  varied = varied && (!kernel || sum.limited * 100 > sum.flows);
  auto ok = sum.differences == 0 && varied && (!kernel || sum.in_kernel > 0);
  std::printf(
    "{\"name\":\"conformance\",\"seed\":%lu,\"policies\":%lu,\"flows\":%lu,\"in_kernel\":%lu,"
    "\"allowed\":%lu,"
    "\"denied_by_mapping\":%lu,\"denied_by_default\":%lu,\"observed\":%lu,\"limited\":%lu,"
    "\"differences\":%lu,"
    "\"ok\":%s}\n",
    static_cast<unsigned long>(seed), static_cast<unsigned long>(policies),
    static_cast<unsigned long>(sum.flows), static_cast<unsigned long>(sum.in_kernel),
    static_cast<unsigned long>(sum.allowed), static_cast<unsigned long>(sum.denied_by_mapping),
    static_cast<unsigned long>(sum.denied_by_default), static_cast<unsigned long>(sum.observed),
    static_cast<unsigned long>(sum.limited), static_cast<unsigned long>(sum.differences),
    ok ? "true" : "false");
  return ok ? 0 : 1;
}

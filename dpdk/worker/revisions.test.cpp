// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/probe_frame.hpp"
#include "dpdk/worker/switching.test.hpp"
#include "dpdk/worker/worker_fixture.test.hpp"
#include "tests/support/random_policy.hpp"

#include <atomic>
#include <cstring>
#include <map>
#include <thread>

namespace marchproxy::packet_worker::testing {
namespace {

using worker_revisions = worker_test;

bytes first_frame_of(const policy::flow& flow) {
  auto frame = tier_ebpf::first_frame(flow);
  EXPECT_TRUE(frame);
  bytes out{frame->view().begin(), frame->view().end()};
  std::memcpy(out.data(), inside_mac.data(), inside_mac.size());
  return out;
}

TEST_F(worker_revisions, switch_all_at_once_under_traffic) {
  ASSERT_TRUE(pool_.prepare(tier_ebpf::testing::parity_policy(1)));
  ASSERT_TRUE(pool_.commit());
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> sent = 0;
  std::thread sending{[&] {
    for (unsigned i = 0; !stop; ++i) {
      ports_[inside]->arrive(first_frame_of(tier_ebpf::testing::parity_flow(i % 4'000)));
      if (i % 64 == 63) {
        sent += pool_.turn();
        static_cast<void>(take());
      }
    }
  }};
  switching s;
  s.run(pool_, 1'000);
  stop = true;
  sending.join();
  s.drain(pool_);
  EXPECT_EQ(s.failed, 0u);
  EXPECT_EQ(s.mixed, 0u);
  EXPECT_GT(sent, s.reported);
  std::uint64_t entries = 0;
  pool_.at(0).flows().each([&](const flow_entry& e) {
    auto word = tier_ebpf::parts_of(e.flow.verdict);
    word.verdict.revision = revision{word.generation};
    EXPECT_FALSE(tier_ebpf::testing::mixed(word.verdict));
    ++entries;
  });
  EXPECT_GT(entries, 100u);
  RecordProperty("packets", std::to_string(sent));
  RecordProperty("switches", std::to_string(s.switches));
  RecordProperty("reported", std::to_string(s.reported));
}

/// The verdict's own outcome and the counter of the mapping that gave it, for each flow.
TEST_F(worker_revisions, give_the_evaluator_s_verdict_for_random_policies_and_flows) {
  constexpr std::uint64_t seed = 20261130;
  marchproxy::testing::policy_generator random{seed};
  std::size_t compared = 0;
  auto outcome_of = [](const policy::verdict& v) {
    if (v.observe && (!v.allowed() || v.auth_required))
      return MP_TOTAL_observed;
    if (v.allowed())
      return v.auth_required ? MP_TOTAL_denied_auth : MP_TOTAL_allowed;
    return v.mapping ? MP_TOTAL_denied_mapping : MP_TOTAL_denied_implicit;
  };
  for (std::uint64_t round = 1; round <= 20; ++round) {
    marchproxy::testing::policy_shape shape;
    shape.mappings = 5 + 10 * round;
    shape.services = 5 + 5 * round;
    auto rules = random.ruleset(shape, round);
    auto program = policy::program::compile(rules);
    if (!program)
      continue; // a policy that cannot be compiled is no tier's matter
    ASSERT_TRUE(pool_.prepare(*program));
    ASSERT_TRUE(pool_.commit());
    for (const auto& f : random.flows(*rules, 1'000, false)) {
      auto expected = (*program)->decide(f.view());
      const auto* counters = pool_.at(0).mappings().at(expected.mapping.value);
      auto before = counters != nullptr ? *counters : mp_mapping_counters{};
      auto totals = pool_.totals();
      arrive(inside, first_frame_of(f.view()));
      auto now = pool_.totals();
      auto is = [&](mp_total which) { return now.value[which] - totals.value[which]; };
      if (is(MP_TOTAL_passed_link) + is(MP_TOTAL_passed_local) + is(MP_TOTAL_malformed) == 1)
        continue; // multicast and such: never judged
      ASSERT_EQ(is(outcome_of(expected)), 1u)
        << "seed " << seed << " round " << round << " " << f.text();
      if (counters != nullptr) {
        auto more =
          counters->packets + counters->packets_denied - before.packets - before.packets_denied;
        ASSERT_EQ(more, 1u) << f.text();
      }
      ++compared;
    }
  }
  EXPECT_GT(compared, 10'000u);
}

/// A policy beyond the caches: verdicts of a burst are looked up together.
TEST_F(worker_revisions, give_the_evaluator_s_verdict_in_bursts_by_a_large_policy) {
  marchproxy::testing::policy_generator random{7};
  auto rules = random.nested({.rules = 5'000}, 5);
  auto program = policy::program::compile(rules);
  ASSERT_TRUE(program);
  ASSERT_GT((*program)->image().size(), burst_lookup::cached_image);
  ASSERT_TRUE(pool_.prepare(*program) && pool_.commit());
  std::map<std::uint64_t, std::uint64_t> expected; // packets by mapping
  std::uint64_t refused = 0;
  std::size_t waiting = 0;
  auto work_off = [&] {
    while (pool_.turn() > 0) {
    }
    static_cast<void>(take());
    waiting = 0;
  };
  for (const auto& f : random.flows(*rules, 20'000, false)) {
    auto first = f.flow.destination->bytes[0];
    if (f.flow.source.family != ip_family::v4 || first == 0 || first >= 224)
      continue; // of those some are never judged
    auto v = (*program)->decide(f.view());
    ++expected[v.mapping.value];
    refused += v.allowed() ? 0U : 1U;
    ASSERT_TRUE(ports_[inside]->arrive(first_frame_of(f.view())));
    if (++waiting == packet_port::most_in_burst)
      work_off();
  }
  work_off();
  auto totals = pool_.totals();
  EXPECT_EQ(totals.value[MP_TOTAL_denied_implicit] + totals.value[MP_TOTAL_denied_mapping],
            refused);
  EXPECT_GT(totals.value[MP_TOTAL_allowed], 1'000u);
  EXPECT_GT(refused, 1'000u);
  for (const auto& [mapping, counters] : pool_.mapping_counters())
    EXPECT_EQ(counters.packets + counters.packets_denied, expected[mapping.value]) << mapping.value;
}

} // namespace
} // namespace marchproxy::packet_worker::testing

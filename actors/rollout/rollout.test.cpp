// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/rollout/applier.hpp"
#include "actors/rollout/coordinator.hpp"

#include <gtest/gtest.h>

namespace marchproxy::rollout {
namespace {

constexpr time_point t0{};
const marchproxy::revision r1{1};
const marchproxy::revision r2{2};

template <class T, class V>
bool has(const std::vector<V>& effects) {
  for (const auto& e : effects)
    if (std::holds_alternative<T>(e))
      return true;
  return false;
}

template <class T, class V>
T get(const std::vector<V>& effects) {
  for (const auto& e : effects)
    if (const auto* found = std::get_if<T>(&e))
      return *found;
  ADD_FAILURE() << "effect missing";
  return {};
}

TEST(coordinator, commits_only_after_every_proxy_prepared_and_the_decision_is_stored) {
  coordinator c;
  EXPECT_TRUE(has<announce_prepare>(c.step(start{r1, {"a", "b"}}, t0)));
  EXPECT_TRUE(c.step(ack{"a", ack_phase::prepared, r1, ""}, t0).empty());
  auto decided = c.step(ack{"b", ack_phase::prepared, r1, ""}, t0);
  EXPECT_TRUE(has<store_decision>(decided));
  EXPECT_FALSE(has<announce_commit>(decided));
  EXPECT_TRUE(has<announce_commit>(c.step(decision_stored{r1, true}, t0)));
  EXPECT_TRUE(c.step(ack{"a", ack_phase::applied, r1, ""}, t0).empty());
  auto end = get<finished>(c.step(ack{"b", ack_phase::applied, r1, ""}, t0));
  EXPECT_EQ(end.outcome, outcome::in_force);
  EXPECT_EQ(end.applied, 2u);
  EXPECT_FALSE(c.busy());
}

TEST(coordinator, announces_again_to_a_proxy_that_comes_back_before_it_has_prepared) {
  coordinator c;
  EXPECT_TRUE(c.step(heard{"a"}, t0).empty());
  (void)c.step(start{r1, {"a", "b"}}, t0);
  EXPECT_TRUE(has<announce_prepare>(c.step(heard{"a"}, t0)));
  (void)c.step(ack{"a", ack_phase::prepared, r1, ""}, t0);
  EXPECT_TRUE(c.step(heard{"a"}, t0).empty());
  EXPECT_TRUE(c.step(heard{"stranger"}, t0).empty());
}

TEST(coordinator, one_refusal_aborts_everywhere_with_its_reason) {
  coordinator c;
  (void)c.step(start{r1, {"a", "b"}}, t0);
  auto effects = c.step(ack{"b", ack_phase::refused, r1, "map full"}, t0);
  EXPECT_EQ(get<announce_abort>(effects).reason, "b refused: map full");
  EXPECT_EQ(get<finished>(effects).outcome, outcome::aborted);
}

TEST(coordinator, a_silent_proxy_aborts_at_the_deadline_and_is_named) {
  coordinator c{{.prepare = std::chrono::seconds{5}, .retries = 0}};
  (void)c.step(start{r1, {"a", "b"}}, t0);
  (void)c.step(ack{"a", ack_phase::prepared, r1, ""}, t0);
  EXPECT_TRUE(c.step(tick{}, t0 + std::chrono::milliseconds{4999}).empty());
  EXPECT_NE(get<finished>(c.step(tick{}, t0 + std::chrono::seconds{5})).reason.find("b"),
            std::string::npos);
}

/// Starts @p which at @p now and lets the deadline pass.
std::vector<effect> silence(coordinator& c, marchproxy::revision which, time_point& now) {
  EXPECT_TRUE(has<announce_prepare>(c.step(start{which, {"a"}}, now)));
  now += std::chrono::seconds{5};
  return c.step(tick{}, now);
}

TEST(coordinator, silence_is_tried_again_after_waits_that_double_and_then_aborts) {
  using std::chrono::milliseconds;
  coordinator c{{.prepare = std::chrono::seconds{5},
                 .retries = 4,
                 .first_wait = milliseconds{1000},
                 .last_wait = milliseconds{3000}}};
  auto now = t0;
  for (const auto wait : {1000, 2000, 3000, 3000}) {
    const auto effects = silence(c, r1, now);
    EXPECT_TRUE(has<announce_abort>(effects)); // proxies let go of what they have staged
    EXPECT_FALSE(has<finished>(effects));
    EXPECT_EQ(get<postponed>(effects).wait, milliseconds{wait});
    EXPECT_EQ(get<postponed>(effects).reason, "not prepared in time: a");
    EXPECT_FALSE(c.busy());
    now += milliseconds{wait - 1};
    EXPECT_EQ(c.held_back(now), r1);
    EXPECT_TRUE(c.step(start{r1, {"a"}}, now).empty());
    now += milliseconds{1};
    EXPECT_EQ(c.held_back(now), marchproxy::revision{});
  }
  const auto last = silence(c, r1, now);
  EXPECT_EQ(get<finished>(last).outcome, outcome::aborted);
  EXPECT_FALSE(has<postponed>(last));
}

TEST(coordinator, an_attempt_after_silence_can_succeed) {
  coordinator c;
  auto now = t0;
  EXPECT_TRUE(has<postponed>(silence(c, r1, now)));
  EXPECT_TRUE(c.step(ack{"a", ack_phase::prepared, r1, ""}, now).empty()); // too late
  now += std::chrono::seconds{1};
  (void)c.step(start{r1, {"a"}}, now);
  EXPECT_TRUE(has<store_decision>(c.step(ack{"a", ack_phase::prepared, r1, ""}, now)));
}

TEST(coordinator, a_newer_revision_does_not_wait_and_has_its_own_retries) {
  coordinator c{{.retries = 1}};
  auto now = t0;
  EXPECT_TRUE(has<postponed>(silence(c, r1, now)));
  EXPECT_TRUE(has<postponed>(silence(c, r2, now)));
}

TEST(coordinator, a_refusal_after_silence_is_final) {
  coordinator c;
  auto now = t0;
  (void)silence(c, r1, now);
  now += std::chrono::seconds{1};
  (void)c.step(start{r1, {"a"}}, now);
  const auto effects = c.step(ack{"a", ack_phase::refused, r1, "map full"}, now);
  EXPECT_EQ(get<finished>(effects).outcome, outcome::aborted);
  EXPECT_FALSE(has<postponed>(effects));
}

TEST(coordinator, a_proxy_whose_lease_ended_is_not_waited_for) {
  coordinator c;
  (void)c.step(start{r1, {"a", "b"}}, t0);
  (void)c.step(ack{"a", ack_phase::prepared, r1, ""}, t0);
  EXPECT_TRUE(has<store_decision>(c.step(left{"b"}, t0)));
}

TEST(coordinator, with_no_proxies_the_decision_alone_puts_it_in_force) {
  coordinator c;
  EXPECT_TRUE(has<store_decision>(c.step(start{r1, {}}, t0)));
  auto effects = c.step(decision_stored{r1, true}, t0);
  EXPECT_TRUE(has<announce_commit>(effects));
  EXPECT_EQ(get<finished>(effects).outcome, outcome::in_force);
}

TEST(coordinator, a_decision_that_cannot_be_stored_aborts) {
  coordinator c;
  (void)c.step(start{r1, {}}, t0);
  EXPECT_EQ(get<finished>(c.step(decision_stored{r1, false}, t0)).outcome, outcome::aborted);
}

TEST(coordinator, late_appliers_are_named_and_do_not_undo_the_commit) {
  coordinator c;
  (void)c.step(start{r1, {"a"}}, t0);
  (void)c.step(ack{"a", ack_phase::prepared, r1, ""}, t0);
  (void)c.step(decision_stored{r1, true}, t0);
  auto end = get<finished>(c.step(tick{}, t0 + std::chrono::seconds{10}));
  EXPECT_EQ(end.outcome, outcome::committed);
  EXPECT_EQ(end.applied, 0u);
}

TEST(coordinator, strangers_and_other_revisions_change_nothing) {
  coordinator c;
  (void)c.step(start{r2, {"a"}}, t0);
  EXPECT_TRUE(c.step(ack{"x", ack_phase::refused, r2, "no"}, t0).empty());
  EXPECT_TRUE(c.step(ack{"a", ack_phase::refused, r1, "old"}, t0).empty());
  EXPECT_TRUE(c.step(start{r1, {}}, t0).empty());
}

announcement make(std::uint64_t n) {
  return {marchproxy::revision{n}, std::string(64, 'a'), std::string(64, 'b'), 10, 1, "sig"};
}

TEST(applier, stages_acknowledges_flips_and_acknowledges) {
  applier a;
  EXPECT_TRUE(has<stage>(a.step(prepare_announced{make(1)})));
  EXPECT_EQ(get<send_ack>(a.step(staged{r1})).phase, ack_phase::prepared);
  EXPECT_TRUE(has<flip>(a.step(commit_announced{r1})));
  EXPECT_EQ(get<send_ack>(a.step(flipped{r1, true, ""})).phase, ack_phase::applied);
  EXPECT_EQ(a.active(), r1);
}

TEST(applier, a_commit_before_staging_ends_flips_as_soon_as_it_is_staged) {
  applier a;
  (void)a.step(prepare_announced{make(1)});
  EXPECT_TRUE(a.step(commit_announced{r1}).empty());
  EXPECT_TRUE(has<flip>(a.step(staged{r1})));
}

TEST(applier, a_late_joiner_takes_the_decision_record) {
  applier a;
  EXPECT_TRUE(has<stage>(a.step(active_seen{make(2)})));
  EXPECT_TRUE(has<flip>(a.step(staged{r2})));
}

TEST(applier, never_goes_back) {
  applier a{r2};
  EXPECT_EQ(get<send_ack>(a.step(prepare_announced{make(1)})).phase, ack_phase::applied);
  EXPECT_TRUE(a.step(active_seen{make(1)}).empty());
  EXPECT_EQ(a.active(), r2);
}

TEST(applier, an_abort_drops_what_was_staged_unless_it_was_decided) {
  applier a;
  (void)a.step(prepare_announced{make(1)});
  (void)a.step(staged{r1});
  EXPECT_TRUE(has<drop_staged>(a.step(abort_announced{r1})));
  EXPECT_TRUE(a.step(commit_announced{r1}).empty());
  EXPECT_TRUE(has<stage>(a.step(active_seen{make(1)})));
  EXPECT_TRUE(a.step(abort_announced{r1}).empty());
}

TEST(applier, a_failure_is_refused_with_its_reason_and_the_old_revision_stays) {
  applier a{r1};
  (void)a.step(prepare_announced{make(2)});
  auto ack = get<send_ack>(a.step(staging_failed{r2, "signature does not verify"}));
  EXPECT_EQ(ack.phase, ack_phase::refused);
  EXPECT_EQ(ack.reason, "signature does not verify");
  EXPECT_EQ(a.active(), r1);
}

TEST(applier, what_could_not_be_fetched_is_no_refusal_and_is_begun_again) {
  applier a;
  (void)a.step(prepare_announced{make(1)});
  EXPECT_TRUE(a.step(not_fetched{r1}).empty());
  EXPECT_TRUE(has<stage>(a.step(prepare_announced{make(1)})));
  EXPECT_EQ(get<send_ack>(a.step(staged{r1})).phase, ack_phase::prepared);
  EXPECT_TRUE(a.step(not_fetched{r1}).empty()); // late news of a former attempt
  EXPECT_TRUE(has<flip>(a.step(commit_announced{r1})));
}

TEST(applier, a_decided_revision_that_could_not_be_fetched_is_begun_again_by_the_poll) {
  applier a;
  (void)a.step(active_seen{make(2)});
  EXPECT_TRUE(a.step(not_fetched{r2}).empty());
  EXPECT_TRUE(has<stage>(a.step(active_seen{make(2)})));
}

TEST(applier, what_is_announced_while_it_flips_is_begun_afterwards) {
  applier a;
  (void)a.step(prepare_announced{make(1)});
  (void)a.step(staged{r1});
  (void)a.step(commit_announced{r1});
  EXPECT_TRUE(a.step(prepare_announced{make(2)}).empty());
  const auto effects = a.step(flipped{r1, true, ""});
  EXPECT_EQ(get<send_ack>(effects).revision, r1);
  EXPECT_EQ(get<stage>(effects).what.revision, r2);
}

TEST(applier, what_is_announced_while_it_flips_can_be_aborted_or_be_the_same) {
  applier a;
  (void)a.step(prepare_announced{make(1)});
  (void)a.step(staged{r1});
  (void)a.step(commit_announced{r1});
  (void)a.step(prepare_announced{make(2)});
  (void)a.step(abort_announced{r2});
  (void)a.step(prepare_announced{make(1)}); // a manager that was restarted
  const auto effects = a.step(flipped{r1, true, ""});
  EXPECT_FALSE(has<stage>(effects));
  EXPECT_EQ(get<send_ack>(effects).phase, ack_phase::applied);
}

TEST(applier, a_newer_prepare_replaces_an_older_staged_one) {
  applier a;
  (void)a.step(prepare_announced{make(1)});
  (void)a.step(staged{r1});
  auto effects = a.step(prepare_announced{make(2)});
  EXPECT_EQ(get<drop_staged>(effects).revision, r1);
  EXPECT_EQ(get<stage>(effects).what.revision, r2);
}

} // namespace
} // namespace marchproxy::rollout

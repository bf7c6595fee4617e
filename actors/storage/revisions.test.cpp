// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/digest.hpp"
#include "actors/storage/store.hpp"
#include "tests/support/store_fixture.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::storage {

namespace {

class revision_store : public test::on_each_store {
protected:
  void commit(std::uint64_t number) {
    const auto done =
      store_->decide(by(), cluster_, revision{number}, revision_state::committed, "");
    EXPECT_TRUE(done) << (done ? "" : to_string(done.error()));
  }
  revision_state state(std::uint64_t number) {
    return store_->revision_of(cluster_, revision{number}).value().state;
  }
};
MP_ON_EACH_DATABASE(revision_store);

TEST_P(revision_store, each_change_makes_the_next_revision_and_its_content_is_the_ruleset) {
  const auto app = add_service("app");
  const auto db = add_service("db", "10.1.0.0/16");
  ASSERT_TRUE(store_->create_mapping(by(), mapping(app, db)));
  const auto rules = store_->ruleset_of(cluster_);
  ASSERT_TRUE(rules) << to_string(rules.error());
  EXPECT_EQ(rules->revision.value, 3U);
  EXPECT_EQ(rules->cluster_name, "eu-1");
  EXPECT_EQ(rules->services.size(), 2U);
  EXPECT_EQ(rules->mappings.size(), 1U);
  const auto bytes = store_->content(cluster_, revision{3});
  ASSERT_TRUE(bytes) << to_string(bytes.error());
  EXPECT_EQ(model::decode_ruleset(*bytes), *rules);
  const auto latest = store_->latest(cluster_);
  EXPECT_EQ((*latest)->ruleset_hash, crypto::sha256_hex(*bytes));
  EXPECT_EQ((*latest)->state, revision_state::pending);
  EXPECT_EQ((*latest)->created_by, "user:7");
  EXPECT_EQ(model::decode_ruleset(*store_->content(cluster_, revision{1}))->services.size(), 1U);
}

TEST_P(revision_store, a_commit_supersedes_what_waited_below_it) {
  for (int i = 0; i < 4; ++i)
    add_service("s" + std::to_string(i));
  EXPECT_FALSE(*store_->last_committed(cluster_));
  commit(3);
  EXPECT_EQ(state(1), revision_state::superseded);
  EXPECT_EQ(state(2), revision_state::superseded);
  EXPECT_EQ(state(3), revision_state::committed);
  EXPECT_EQ(state(4), revision_state::pending);
  EXPECT_EQ((*store_->last_committed(cluster_))->number.value, 3U);
}

TEST_P(revision_store, a_decision_is_made_once_and_never_goes_back) {
  for (int i = 0; i < 3; ++i)
    add_service("s" + std::to_string(i));
  const auto decide = [&](std::uint64_t number, revision_state how) {
    return store_->decide(by(), cluster_, revision{number}, how, "why");
  };
  commit(2);
  const auto records = store_->audit_head_of("eu-1")->sequence;
  EXPECT_TRUE(decide(2, revision_state::committed));
  EXPECT_EQ(store_->audit_head_of("eu-1")->sequence, records)
    << "the same decision again is no change";
  EXPECT_EQ(decide(2, revision_state::aborted).error().code, errc::conflict);
  EXPECT_EQ(decide(1, revision_state::committed).error().code, errc::conflict);
  EXPECT_TRUE(decide(3, revision_state::aborted));
  EXPECT_EQ(store_->revision_of(cluster_, revision{3})->decision_reason, "why");
  EXPECT_EQ((*store_->last_committed(cluster_))->number.value, 2U);
  EXPECT_EQ(decide(9, revision_state::committed).error().code, errc::not_found);
  EXPECT_EQ(decide(3, revision_state::pending).error().code, errc::invalid_argument);
}

TEST_P(revision_store, a_rollout_leaves_its_result_and_its_event) {
  add_service("web");
  commit(1);
  const rollout_result what{
    .outcome = "in_force", .program_hash = std::string(64, 'b'), .expected = 3, .applied = 3};
  ASSERT_TRUE(store_->finish_rollout(by(77), cluster_, revision{1}, what));
  const auto now = store_->revision_of(cluster_, revision{1});
  EXPECT_EQ(now->outcome, "in_force");
  EXPECT_EQ(now->applied, 3U);
  EXPECT_EQ(now->finished_at, test::at(77));
  const auto waiting = store_->unsent(1000);
  const auto event = std::find_if(waiting->begin(), waiting->end(), [](const auto& one) {
    return one.subject == "mp.v1.event.revision.committed";
  });
  ASSERT_NE(event, waiting->end());
  EXPECT_EQ(nlohmann::json::parse(event->payload)["sha256"], now->ruleset_hash);
}

TEST_P(revision_store, they_are_listed_newest_first) {
  for (int i = 0; i < 5; ++i)
    add_service("s" + std::to_string(i));
  const auto first = store_->revisions(cluster_, {.limit = 3});
  ASSERT_TRUE(first);
  ASSERT_EQ(first->items.size(), 3U);
  EXPECT_EQ(first->items[0].number.value, 5U);
  const auto rest = store_->revisions(cluster_, {.limit = 3, .after = first->next});
  ASSERT_EQ(rest->items.size(), 2U);
  EXPECT_EQ(rest->items[1].number.value, 1U);
  EXPECT_EQ(rest->next, 0U);
}

TEST_P(revision_store, an_earlier_revision_is_restored_as_the_newest) {
  const auto app = add_service("app");
  const auto db = add_service("db", "10.1.0.0/16");
  const auto made = store_->create_mapping(by(), mapping(app, db));
  const auto before = store_->ruleset_of(cluster_);
  ASSERT_TRUE(store_->delete_mapping(by(), cluster_, mapping_id{made->id}, {}));
  auto swapped = store_->service(cluster_, db)->value;
  swapped.name = "db2";
  ASSERT_TRUE(store_->update_service(by(), swapped, 1));
  add_service("db", "10.2.0.0/16");
  auto watched = store_->cluster(cluster_)->value;
  watched.observe = true;
  ASSERT_TRUE(store_->update_cluster(by(), watched, {}));
  const auto restored = store_->restore(by(), cluster_, before->revision);
  ASSERT_TRUE(restored) << to_string(restored.error());
  EXPECT_EQ(restored->revision.value, 8U);
  EXPECT_FALSE(store_->cluster(cluster_)->value.observe) << "it is of the revision";
  auto now = *store_->ruleset_of(cluster_);
  now.revision = before->revision;
  EXPECT_EQ(now, *before);
  auto stale = store_->service(cluster_, db)->value;
  EXPECT_EQ(store_->update_service(by(), stale, 2).error().code, errc::precondition_failed);
  EXPECT_EQ(store_->delete_service(by(), cluster_, db, {}).error().code, errc::conflict);
  EXPECT_NE(add_service("fresh").value, 0U);
  EXPECT_EQ(store_->restore(by(), cluster_, revision{99}).error().code, errc::not_found);
}

TEST_P(revision_store, a_content_that_was_altered_at_rest_is_noticed) {
  add_service("web");
  add_service("web2");
  const auto raw = connect(url());
  ASSERT_TRUE(
    (*raw)->exec("UPDATE revisions SET content = (SELECT content FROM revisions WHERE number = 2) "
                 "WHERE number = 1"));
  const auto bytes = store_->content(cluster_, revision{1});
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code, errc::corrupt);
}

TEST_P(revision_store, large_contents_are_kept_for_the_newest_fifty_and_the_one_in_force) {
  // One service with a long port list makes contents of some 60 KiB; a second one passes 64 KiB.
  std::vector<model::port_range> ranges;
  for (std::uint16_t i = 0; i < 1000; ++i)
    ranges.push_back(
      {static_cast<std::uint16_t>(10'000 + 10 * i), static_cast<std::uint16_t>(10'003 + 10 * i)});
  for (int i = 0; i < 7; ++i) {
    auto value = service("big" + std::to_string(i));
    value.ports = model::port_set(ranges);
    ASSERT_TRUE(store_->create_service(by(), value));
  }
  const auto raw = connect(url());
  const auto size = (*raw)->exec("SELECT content_size FROM revisions ORDER BY number DESC LIMIT 1");
  ASSERT_GT(size->front().integer(0), 64 * 1024);
  commit(7);
  auto value = store_->services(cluster_, {}, {})->items[0].value;
  for (int i = 0; i < 52; ++i) {
    value.description = std::to_string(i);
    ASSERT_TRUE(store_->update_service(by(), value, {}));
  }
  EXPECT_TRUE(store_->content(cluster_, revision{1})) << "small ones stay";
  EXPECT_TRUE(store_->content(cluster_, revision{7})) << "it is in force";
  EXPECT_EQ(store_->content(cluster_, revision{8}).error().code, errc::not_found);
  EXPECT_FALSE(store_->revision_of(cluster_, revision{8})->content_kept);
  EXPECT_TRUE(store_->content(cluster_, revision{10}));
  EXPECT_TRUE(store_->content(cluster_, revision{59}));
}

} // namespace

} // namespace marchproxy::storage

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/manager/hub.hpp"

#include "actors/bus/joining.hpp"
#include "actors/manager/manager_fixture.test.hpp"

#include <algorithm>

namespace marchproxy::testing {
namespace {

/// A hub whose upkeep comes every few milliseconds.
class hub_test : public manager_test {
protected:
  void SetUp() override {
    manager_test::SetUp();
    storage::user_record alice;
    alice.name = "alice";
    const auto made = store->create_user(by(), alice);
    ASSERT_TRUE(made) << to_string(made.error());
    user = user_id{made->id};
    hub = manager::spawn_hub(system, {.store = store, .trust = trust, .upkeep = 20ms});
    self->monitor(hub);
  }
  void TearDown() override {
    self->send_exit(hub, caf::exit_reason::user_shutdown);
    self->receive([](const caf::down_msg&) {});
  }

  void add_session(const std::string& hash, time_point expires) {
    const auto now = wall_now();
    ASSERT_TRUE(store->create_session({hash, user, "csrf", "192.0.2.1", now, now, expires}));
  }
  /// Read as of @p when, so that an expired row is seen for as long as it is there.
  [[nodiscard]] bool has_session(const std::string& hash, time_point when) {
    return store->session(hash, when).has_value();
  }
  /// A row that was there and is cleared says that upkeep ran. The run that takes the first may
  /// have begun before this was called; the one that takes the second is whole.
  void let_upkeep_run() {
    for (int run = 0; run < 2; ++run) {
      const auto hash = "mark-" + std::to_string(++marks);
      const auto expired = wall_now() - 1s;
      add_session(hash, expired);
      ASSERT_TRUE(eventually([&] { return !has_session(hash, expired - 1s); }));
    }
  }
  void retire(const std::string& public_key, time_point end) {
    const auto keys = store->join_keys(cluster);
    ASSERT_TRUE(keys);
    const auto found = std::find_if(keys->begin(), keys->end(),
                                    [&](const auto& key) { return key.public_key == public_key; });
    ASSERT_NE(found, keys->end());
    ASSERT_TRUE(store->retire_join_key(by(), cluster, found->id, end));
  }
  [[nodiscard]] result<std::string> join_with(const manager::authority::issued_key& key) {
    return bus::join({.key = *bus::parse_cluster_api_key(key.text),
                      .urls = {server->url()},
                      .user = bus::nkey::generate(bus::nkey_kind::user),
                      .payload = "{}"});
  }

  user_id user;
  manager::hub_actor hub;
  int marks = 0;
};

TEST_F(hub_test, a_cluster_key_ends_when_its_overlap_is_over_and_not_before) {
  const auto second_key = trust->issue_key(cluster);
  ASSERT_TRUE(second_key);
  ASSERT_TRUE(store->add_join_key(by(), cluster, second_key->public_key, std::nullopt));
  retire(first_key.public_key, wall_now() + 1h);
  let_upkeep_run();
  EXPECT_EQ(trust->keys(cluster).size(), 2U);
  EXPECT_TRUE(join_with(first_key)); // an answer, whatever it says: the key is let in

  retire(first_key.public_key, wall_now() - 1s);
  ASSERT_TRUE(eventually([&] { return trust->keys(cluster).size() == 1; }));
  EXPECT_EQ(trust->keys(cluster).front().public_key, second_key->public_key);
  let_upkeep_run(); // pushed to the server too
  EXPECT_EQ(join_with(first_key).error().code, errc::unauthenticated);
  EXPECT_TRUE(join_with(*second_key));
}

TEST_F(hub_test, expired_rows_are_cleared_and_others_stay) {
  const auto now = wall_now();
  add_session("live", now + 1h);
  ASSERT_GT(change("web").value, 0U); // whose events are in the outbox
  const auto rows = store->unsent(100);
  ASSERT_TRUE(rows);
  ASSERT_FALSE(rows->empty());
  std::vector<std::uint64_t> ids;
  for (const auto& row : *rows)
    ids.push_back(row.id);
  ASSERT_TRUE(store->mark_sent(ids, now - std::chrono::hours{24 * 8}));
  let_upkeep_run();
  EXPECT_TRUE(has_session("live", now));
  const auto left = store->purge(now, now - std::chrono::hours{24 * 7});
  ASSERT_TRUE(left);
  EXPECT_EQ(*left, 0U);
}

} // namespace
} // namespace marchproxy::testing

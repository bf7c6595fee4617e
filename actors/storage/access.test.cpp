// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/store.hpp"
#include "tests/support/store_fixture.hpp"

#include <atomic>
#include <thread>

namespace marchproxy::storage {

namespace {

using namespace std::chrono_literals;

class access_store : public test::on_each_store {
protected:
  enrolment proxy_named(const std::string& name, const std::string& nkey) const {
    return {.cluster = cluster_,
            .name = name,
            .nkey = nkey,
            .kind = "egress",
            .version = "v1",
            .hostname = "host",
            .addresses = {"http://192.0.2.7:8080"}};
  }
  static heartbeat beat_of(const std::string& nkey) {
    return {.nkey = nkey,
            .version = "v2",
            .tier = "sockets",
            .applied = revision{4},
            .applied_hash = "ff",
            .status = "{\"up\":1}",
            .addresses = {}};
  }
  user_id add_user(const std::string& name) {
    user_record value;
    value.name = name;
    value.password_hash = "$argon2id$...";
    value.roles[cluster_id{}] = {"administrator"};
    value.roles[cluster_] = {"service_owner"};
    const auto made = store_->create_user(by(), value);
    EXPECT_TRUE(made) << (made ? "" : to_string(made.error()));
    return made ? user_id{made->id} : user_id{};
  }
  session_record session_of(user_id who, const std::string& hash, time_point ends) {
    return {.token_hash = hash,
            .user = who,
            .csrf_hash = "c",
            .source = "192.0.2.1",
            .created_at = test::at(1),
            .last_seen = test::at(1),
            .expires_at = ends};
  }
};
MP_ON_EACH_DATABASE(access_store);

TEST_P(access_store, of_twenty_that_race_for_five_seats_five_get_one) {
  auto value = store_->cluster(cluster_)->value;
  value.max_proxies = 5;
  ASSERT_TRUE(store_->update_cluster(by(), value, {}));
  std::atomic<int> seated{0};
  std::atomic<int> refused{0};
  {
    std::vector<std::jthread> racers;
    for (int i = 0; i < 20; ++i) {
      racers.emplace_back([&, i] {
        const auto n = std::to_string(i);
        const auto got = store_->enrol(by(), proxy_named("p" + n, "U" + n), 0);
        seated += got ? 1 : 0;
        refused += !got && got.error().code == errc::limit_reached ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(seated, 5);
  EXPECT_EQ(refused, 15);
  EXPECT_EQ(store_->proxies(cluster_)->size(), 5U);
  EXPECT_EQ(store_->counts()->proxies, 5U);
}

TEST_P(access_store, the_limit_of_the_installation_spans_clusters) {
  const auto other = cluster_id{store_->create_cluster(by(), named("us-1"))->id};
  ASSERT_TRUE(store_->enrol(by(), proxy_named("a", "UA"), 2));
  auto elsewhere = proxy_named("a", "UB");
  elsewhere.cluster = other;
  ASSERT_TRUE(store_->enrol(by(), elsewhere, 2));
  EXPECT_EQ(store_->enrol(by(), proxy_named("c", "UC"), 2).error().code, errc::limit_reached);
  EXPECT_TRUE(store_->enrol(by(), proxy_named("a", "UA2"), 2)) << "a known name keeps its seat";
  EXPECT_EQ(store_->proxies({})->size(), 2U);
  EXPECT_EQ(store_->proxy_by_key("UA").error().code, errc::not_found) << "its old key is gone";
}

TEST_P(access_store, a_heartbeat_makes_active_and_a_stale_proxy_needs_a_free_seat_again) {
  ASSERT_TRUE(store_->enrol(by(10), proxy_named("a", "UA"), 1));
  EXPECT_EQ(store_->proxy_by_key("UA")->state, proxy_state::joined);
  const auto now = store_->beat(beat_of("UA"), test::at(20), 1);
  ASSERT_TRUE(now) << to_string(now.error());
  EXPECT_EQ(now->state, proxy_state::active);
  EXPECT_EQ(now->applied.value, 4U);
  EXPECT_EQ(now->last_seen, test::at(20));
  EXPECT_TRUE(store_->mark_stale(test::at(20))->empty());
  EXPECT_EQ(store_->mark_stale(test::at(21))->size(), 1U);
  ASSERT_TRUE(store_->enrol(by(30), proxy_named("b", "UB"), 1)) << "the stale one's seat was free";
  EXPECT_EQ(store_->beat(beat_of("UA"), test::at(31), 1).error().code, errc::limit_reached);
  EXPECT_TRUE(store_->beat(beat_of("UA"), test::at(32), 2));
  EXPECT_EQ(store_->beat(beat_of("UZ"), test::at(33), 2).error().code, errc::not_found);
}

TEST_P(access_store, a_renewal_keeps_what_the_proxy_reported_and_a_new_key_does_not) {
  ASSERT_TRUE(store_->enrol(by(), proxy_named("a", "UA"), 0));
  ASSERT_TRUE(store_->beat(beat_of("UA"), test::at(1), 0));
  ASSERT_TRUE(store_->enrol(by(2), proxy_named("a", "UA"), 0));
  EXPECT_EQ(store_->proxy_by_key("UA")->state, proxy_state::active);
  EXPECT_EQ(store_->proxy_by_key("UA")->applied.value, 4U);
  ASSERT_TRUE(store_->enrol(by(3), proxy_named("a", "UA2"), 0));
  EXPECT_EQ(store_->proxy_by_key("UA2")->state, proxy_state::joined);
  EXPECT_EQ(store_->proxy_by_key("UA2")->applied.value, 0U);
  EXPECT_EQ(store_->enrol(by(), proxy_named("b", "UA2"), 0).error().code, errc::conflict);
}

TEST_P(access_store, a_revoked_proxy_stays_out_until_it_is_forgotten) {
  const auto id = store_->enrol(by(), proxy_named("a", "UA"), 0)->id;
  EXPECT_EQ(store_->delete_proxy(by(), cluster_, id).error().code, errc::conflict);
  ASSERT_TRUE(store_->end_proxy(by(), cluster_, id, proxy_state::revoked));
  EXPECT_EQ(store_->beat(beat_of("UA"), test::at(1), 0).error().code, errc::forbidden);
  EXPECT_EQ(store_->enrol(by(), proxy_named("a", "UNEW"), 0).error().code, errc::forbidden);
  EXPECT_EQ(store_->enrol(by(), proxy_named("z", "UA"), 0).error().code, errc::forbidden);
  EXPECT_EQ(store_->counts()->proxies, 0U);
  ASSERT_TRUE(store_->delete_proxy(by(), cluster_, id));
  EXPECT_TRUE(store_->enrol(by(), proxy_named("a", "UNEW"), 0));
  EXPECT_EQ(store_->end_proxy(by(), cluster_, 999, proxy_state::retired).error().code,
            errc::not_found);
  EXPECT_EQ(store_->end_proxy(by(), cluster_, id, proxy_state::active).error().code,
            errc::invalid_argument);
}

TEST_P(access_store, join_keys_overlap_and_end) {
  const auto old_key = store_->add_join_key(by(), cluster_, "KOLD", {});
  ASSERT_TRUE(old_key);
  ASSERT_TRUE(store_->add_join_key(by(), cluster_, "KNEW", {}));
  ASSERT_TRUE(store_->retire_join_key(by(), cluster_, old_key->id, test::at(100)));
  EXPECT_EQ(store_->find_join_key("KOLD", test::at(99))->cluster, cluster_);
  EXPECT_EQ(store_->find_join_key("KOLD", test::at(100)).error().code, errc::not_found);
  EXPECT_TRUE(store_->find_join_key("KNEW", test::at(100)));
  EXPECT_EQ(store_->join_keys(cluster_)->size(), 2U);
  EXPECT_EQ(store_->add_join_key(by(), cluster_, "KNEW", {}).error().code, errc::conflict);
}

TEST_P(access_store, users_have_roles_by_cluster_and_versions) {
  const auto id = add_user("alice");
  auto value = store_->user_by_name("alice");
  ASSERT_TRUE(value);
  EXPECT_EQ(value->id, id);
  EXPECT_EQ(value->roles.at(cluster_id{}), std::vector<std::string>{"administrator"});
  EXPECT_EQ(value->roles.at(cluster_), std::vector<std::string>{"service_owner"});
  value->roles.erase(cluster_id{});
  value->active = false;
  ASSERT_TRUE(store_->update_user(by(), *value, 1));
  EXPECT_EQ(store_->update_user(by(), *value, 1).error().code, errc::precondition_failed);
  EXPECT_EQ(store_->user(id)->roles.size(), 1U);
  EXPECT_FALSE(store_->user(id)->active);
  add_user("bob");
  EXPECT_EQ(store_->create_user(by(), *value).error().code, errc::conflict);
  EXPECT_EQ(store_->users({})->items.size(), 2U);
  EXPECT_EQ(store_->users({.limit = 1})->next, id.value);
  ASSERT_TRUE(store_->delete_user(by(), id));
  EXPECT_EQ(store_->user(id).error().code, errc::not_found);
  const auto records = store_->audit(audit::installation_ledger, 1, 100);
  for (const auto& one : *records)
    EXPECT_EQ(one.record.find("argon2id"), std::string::npos) << one.record;
}

TEST_P(access_store, sessions_expire_and_end_with_a_new_password) {
  const auto id = add_user("alice");
  ASSERT_TRUE(store_->create_session(session_of(id, "h1", test::at(100))));
  ASSERT_TRUE(store_->create_session(session_of(id, "h2", test::at(200))));
  EXPECT_EQ(store_->session("h1", test::at(99))->user, id);
  EXPECT_EQ(store_->user(id)->last_login, test::at(1));
  EXPECT_EQ(store_->session("h1", test::at(100)).error().code, errc::not_found);
  ASSERT_TRUE(store_->touch_session("h2", test::at(150), test::at(300)));
  EXPECT_TRUE(store_->session("h2", test::at(250)));
  EXPECT_EQ(store_->touch_session("none", test::at(1), test::at(2)).error().code, errc::not_found);
  EXPECT_EQ(store_->purge(test::at(100), test::at(0)), 1U);
  ASSERT_TRUE(store_->set_password(by(), id, "$argon2id$new", true));
  EXPECT_EQ(store_->session("h2", test::at(250)).error().code, errc::not_found);
  EXPECT_TRUE(store_->user(id)->must_change);
  ASSERT_TRUE(store_->create_session(session_of(id, "h3", test::at(100))));
  ASSERT_TRUE(store_->delete_session("h3"));
  EXPECT_FALSE(store_->session("h3", test::at(1)));
}

TEST_P(access_store, api_keys_are_found_by_their_hash_until_they_expire) {
  const auto id = add_user("alice");
  api_key_record key;
  key.user = id;
  key.name = "ci";
  key.key_hash = "kh";
  key.scopes = {"mappings:write", "audit:read"};
  key.expires_at = test::at(50);
  const auto made = store_->create_api_key(by(2), key);
  ASSERT_TRUE(made) << to_string(made.error());
  const auto used = store_->use_api_key("kh", test::at(49));
  ASSERT_TRUE(used);
  EXPECT_EQ(used->user, id);
  EXPECT_EQ(used->scopes, key.scopes);
  EXPECT_EQ(used->last_used, test::at(49));
  EXPECT_EQ(store_->use_api_key("kh", test::at(50)).error().code, errc::not_found);
  EXPECT_EQ(store_->api_keys(id)->size(), 1U);
  ASSERT_TRUE(store_->delete_api_key(by(), id, made->id));
  EXPECT_TRUE(store_->api_keys(id)->empty());
}

TEST_P(access_store, failures_add_up_lock_and_are_forgotten) {
  const auto failed = [&](std::int64_t now, std::int64_t forget) {
    return *store_->note_failure("alice", test::at(now), test::at(forget), 3, test::at(now + 100));
  };
  EXPECT_EQ(store_->throttle("alice")->failures, 0U);
  EXPECT_EQ(failed(1, 0).failures, 1U);
  EXPECT_FALSE(failed(2, 0).locked_until);
  EXPECT_EQ(failed(3, 0).locked_until, test::at(103));
  EXPECT_EQ(store_->throttle("alice")->failures, 3U);
  EXPECT_EQ(failed(500, 400).failures, 1U) << "long ago counts no longer";
  EXPECT_FALSE(store_->throttle("alice")->locked_until);
  ASSERT_TRUE(store_->clear_throttle("alice"));
  EXPECT_EQ(store_->throttle("alice")->failures, 0U);
}

TEST_P(access_store, secrets_are_sealed_and_bound_to_their_name) {
  const crypto::secret one(std::string_view("the operator's seed"));
  const crypto::secret two(std::string_view("another"));
  EXPECT_EQ(store_->get_secret("operator").error().code, errc::not_found);
  EXPECT_EQ(store_->secret_or("operator", one, test::at(1))->expose(), one.expose());
  EXPECT_EQ(store_->secret_or("operator", two, test::at(2))->expose(), one.expose())
    << "the first stays";
  ASSERT_TRUE(store_->put_secret("other", two, test::at(3)));
  const auto raw = connect(url());
  const auto sealed = (*raw)->exec("SELECT sealed FROM secrets WHERE name = 'operator'");
  EXPECT_EQ(sealed->front().bytes(0).find("seed"), std::string::npos);
  ASSERT_TRUE(
    (*raw)->exec("UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'operator') "
                 "WHERE name = 'other'"));
  EXPECT_EQ(store_->get_secret("other").error().code, errc::corrupt) << "moved to another row";
  key_ = crypto::sealing_key::generate();
  reopen();
  EXPECT_EQ(store_->get_secret("operator").error().code, errc::corrupt)
    << "opened with another key";
}

TEST_P(access_store, it_counts_what_there_is) {
  add_service("web");
  add_user("alice");
  const auto now = store_->counts();
  ASSERT_TRUE(now);
  EXPECT_EQ(now->clusters, 1U);
  EXPECT_EQ(now->services, 1U);
  EXPECT_EQ(now->users, 1U);
  EXPECT_EQ(now->outbox_unsent, store_->unsent(1000)->size());
  EXPECT_TRUE(store_->ping());
}

} // namespace

} // namespace marchproxy::storage

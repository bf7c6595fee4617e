// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/joining.hpp"

#include "actors/bus/jwt.hpp"
#include "tests/support/bus_deployment.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace {

using namespace marchproxy;
using namespace marchproxy::bus;
using namespace marchproxy::testing;

constexpr cluster_id a{1};

class joining_test : public ::testing::Test {
protected:
  joining_test() {
    d.add_cluster(a, "cluster-a");
    manager = d.user(a, role::manager);
    for (const auto subject : {enroll_subject, renew_subject}) {
      // The least a manager does: a proxy JWT for the key that asks.
      EXPECT_TRUE(manager.bus->subscribe(
        std::string{subject}, [bus = manager.bus.get(), keyring = d.trust](const message& m) {
          const auto who = verify_requester(m, m.data);
          const auto jwt =
            who ? keyring.mint_user(
              a, {role::proxy, who->user_key, "egress", wall_now() + std::chrono::hours{1}},
              wall_now())
                : std::string{};
          EXPECT_TRUE(bus->publish({m.reply, jwt.value_or("")}));
        }));
    }
    EXPECT_TRUE(manager.bus->flush(2s));
  }

  cluster_api_key issue() {
    auto issued = d.trust.issue_join_key(a, wall_now());
    EXPECT_TRUE(issued);
    last_id = issued->entry.id;
    d.push(a);
    return issued->key;
  }

  result<std::string> join_with(const cluster_api_key& key, const nkey& user) {
    return join({key, {d.server->url()}, user, user.public_key()});
  }

  bus_user enrolled(const cluster_api_key& key) {
    bus_user proxy;
    proxy.jwt = join_with(key, proxy.key).value_or("");
    d.open(proxy);
    return proxy;
  }

  bus_deployment d;
  bus_user manager;
  std::string last_id;
};

TEST_F(joining_test, a_cluster_key_is_all_a_proxy_needs) {
  const auto text = to_text(issue());
  const auto key = parse_cluster_api_key(text);
  ASSERT_TRUE(key);
  auto proxy = enrolled(*key);
  EXPECT_TRUE(proxy.bus->publish({"mp.v1.proxy." + proxy.key.public_key() + ".status", "up"}));
  EXPECT_TRUE(proxy.bus->flush(2s));
  EXPECT_EQ(proxy.objections->size(), 0U);
}

TEST_F(joining_test, an_enrolled_proxy_renews_over_its_own_connection) {
  auto proxy = enrolled(issue());
  const auto key = proxy.key.public_key();
  const auto renewed = renew(*proxy.bus, key, key, 2s);
  ASSERT_TRUE(renewed) << to_string(renewed.error());
  EXPECT_FALSE(renewed->empty());
}

TEST_F(joining_test, a_wrong_key_cannot_join) {
  auto key = issue();
  const auto user = nkey::generate(nkey_kind::user);
  const auto wrong = generate_cluster_api_key(key.cluster_name, key.account);
  EXPECT_EQ(join_with(wrong, user).error().code, errc::unauthenticated);
  key.cluster_name = "cluster-b"; // the right secret under another name derives another key
  EXPECT_EQ(join_with(key, user).error().code, errc::unauthenticated);
}

TEST_F(joining_test, the_key_of_another_cluster_cannot_join) {
  d.add_cluster(cluster_id{2}, "cluster-b");
  auto foreign = d.trust.issue_join_key(cluster_id{2}, wall_now());
  ASSERT_TRUE(foreign);
  d.push(cluster_id{2});
  foreign->key.account = issue().account;
  EXPECT_EQ(join_with(foreign->key, nkey::generate(nkey_kind::user)).error().code,
            errc::unauthenticated);
}

TEST_F(joining_test, both_keys_of_a_rotation_work_until_the_old_one_is_removed) {
  const auto old_key = issue();
  const auto old_id = last_id;
  const auto new_key = issue();
  EXPECT_TRUE(join_with(old_key, nkey::generate(nkey_kind::user)));
  EXPECT_TRUE(join_with(new_key, nkey::generate(nkey_kind::user)));
  auto proxy = enrolled(old_key);

  ASSERT_TRUE(d.trust.remove_join_key(a, old_id));
  d.push(a);
  EXPECT_EQ(join_with(old_key, nkey::generate(nkey_kind::user)).error().code,
            errc::unauthenticated);
  EXPECT_TRUE(join_with(new_key, nkey::generate(nkey_kind::user)));
  // No outage: who has enrolled with the old key stays, and renews.
  const auto renewed = renew(*proxy.bus, proxy.key.public_key(), proxy.key.public_key(), 2s);
  EXPECT_TRUE(renewed) << to_string(renewed.error());
  EXPECT_EQ(proxy.links->size(), 1U) << "the link was lost meanwhile";
}

TEST_F(joining_test, a_join_jwt_asks_in_its_own_name_only_and_hears_nothing_else) {
  const auto key = issue();
  bus_user joiner;
  joiner.jwt = mint_join_jwt(key, joiner.key.public_key(), wall_now());
  d.open(joiner);
  const auto other = nkey::generate(nkey_kind::user).public_key();
  for (const auto& subject :
       {"mp.v1.enroll." + other, "mp.v1.enroll.renew." + joiner.key.public_key(),
        "mp.v1.proxy." + joiner.key.public_key() + ".status", std::string{"mp.v1.config.announce"},
        std::string{"$JS.API.INFO"}}) {
    const auto before = joiner.objections->size();
    ASSERT_TRUE(joiner.bus->publish({subject, "x"}));
    EXPECT_TRUE(eventually([&] { return joiner.objections->size() == before + 1; })) << subject;
  }
  for (const auto* subject : {">", "mp.v1.>", "mp.v1.config.>", "_INBOX.>"}) {
    const auto before = joiner.objections->size();
    ASSERT_TRUE(joiner.bus->subscribe(subject, [](message) {}));
    EXPECT_TRUE(eventually([&] { return joiner.objections->size() == before + 1; })) << subject;
  }
}

TEST_F(joining_test, an_old_join_jwt_is_no_longer_accepted) {
  bus_user joiner;
  joiner.jwt = mint_join_jwt(issue(), joiner.key.public_key(), wall_now() - 61s);
  auto bus = connection::open(d.options(joiner));
  ASSERT_TRUE(bus);
  EXPECT_EQ((*bus)->wait_until_up(5s).error().code, errc::unauthenticated);
}

TEST_F(joining_test, a_join_key_cannot_mint_rights_of_its_own) {
  const auto key = issue();
  bus_user joiner;
  joiner.jwt = mint_jwt(join_signing_key(key),
                        {joiner.key.public_key(), "escalate", wall_now(), wall_now() + 60s},
                        {{"type", "user"},
                         {"issuer_account", key.account},
                         {"subs", -1},
                         {"data", -1},
                         {"payload", -1},
                         {"pub", {{"allow", {">"}}}}});
  auto bus = connection::open(d.options(joiner));
  ASSERT_TRUE(bus);
  EXPECT_EQ((*bus)->wait_until_up(5s).error().code, errc::unauthenticated);
}

TEST_F(joining_test, a_revoked_proxy_is_cut_off_within_a_second_and_stays_out) {
  auto proxy = enrolled(issue());
  ASSERT_TRUE(d.trust.revoke(a, proxy.key.public_key(), wall_now()));
  const auto start = std::chrono::steady_clock::now();
  d.push(a);
  ASSERT_TRUE(eventually([&] { return !proxy.bus->up(); }, 1s));
  RecordProperty("milliseconds",
                 static_cast<int>((std::chrono::steady_clock::now() - start) / 1ms));
  // It goes on trying, and each attempt is refused.
  const auto before = proxy.links->size();
  ASSERT_TRUE(eventually([&] { return proxy.links->size() >= before + 3; }, 10s));
  EXPECT_FALSE(proxy.bus->up());
  const auto links = proxy.links->all();
  for (auto it = links.begin() + static_cast<std::ptrdiff_t>(before); it != links.end(); ++it)
    EXPECT_EQ(it->why.code, errc::unauthenticated) << to_string(it->why);
}

TEST_F(joining_test, a_revocation_outlives_a_restart_of_the_server) {
  auto proxy = enrolled(issue());
  ASSERT_TRUE(d.trust.revoke(a, proxy.key.public_key(), wall_now()));
  d.push(a);
  ASSERT_TRUE(d.server->restart());
  ASSERT_TRUE(manager.bus->wait_until_up(10s));
  auto again = connection::open(d.options(proxy));
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->wait_until_up(5s).error().code, errc::unauthenticated);
}

TEST_F(joining_test, a_deleted_cluster_loses_every_connection) {
  auto proxy = enrolled(issue());
  const auto account = d.trust.remove_cluster(a);
  ASSERT_TRUE(account);
  const auto deleted =
    delete_account(*d.system.bus, d.trust.deletion_jwt(*account, wall_now()), 5s);
  ASSERT_TRUE(deleted) << to_string(deleted.error());
  EXPECT_TRUE(eventually([&] { return !proxy.bus->up() && !manager.bus->up(); }));
}

TEST(joining, without_a_manager_joining_is_unavailable) {
  bus_deployment d;
  d.add_cluster(a, "cluster-a");
  const auto issued = d.trust.issue_join_key(a, wall_now());
  ASSERT_TRUE(issued);
  d.push(a);
  const auto user = nkey::generate(nkey_kind::user);
  EXPECT_EQ(join({issued->key, {d.server->url()}, user, "{}"}).error().code, errc::unavailable);
}

TEST(joining, the_subject_says_who_asks) {
  const auto user = nkey::generate(nkey_kind::user).public_key();
  const auto enroll = read_requester("mp.v1.enroll." + user);
  ASSERT_TRUE(enroll);
  EXPECT_EQ(enroll->user_key, user);
  EXPECT_FALSE(enroll->renewal);
  const auto renewal = read_requester(renewal_request(user, "").subject);
  ASSERT_TRUE(renewal);
  EXPECT_TRUE(renewal->renewal);
  for (const auto& subject :
       {std::string{"mp.v1.enroll."}, std::string{"mp.v1.enroll.renew"},
        std::string{"mp.v1.enroll.UABC"}, "mp.v1.enrol." + user, "mp.v1.enroll." + user + ".x"})
    EXPECT_FALSE(read_requester(subject)) << subject;
  EXPECT_EQ(verify_requester({"mp.v1.enroll." + user}, "U-other").error().code, errc::forbidden);
  EXPECT_TRUE(verify_requester({"mp.v1.enroll." + user}, user));
}

} // namespace

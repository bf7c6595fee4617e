// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/trust.hpp"

#include "actors/bus/jwt.hpp"
#include "actors/crypto/encoding.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace {

using namespace marchproxy;
using namespace marchproxy::bus;

constexpr time_point now{std::chrono::seconds{1'800'000'000}};
constexpr cluster_id a{1};
constexpr cluster_id b{2};

trust with_cluster() {
  auto keyring = trust::create();
  EXPECT_TRUE(keyring.add_cluster(a, "cluster-a"));
  return keyring;
}

nlohmann::json claims_of(const std::string& jwt) {
  const auto body = jwt.substr(jwt.find('.') + 1, jwt.rfind('.') - jwt.find('.') - 1);
  return nlohmann::json::parse(*crypto::from_base64url(body));
}

TEST(cluster_key, survives_its_text_form_and_derives_the_same_signing_key) {
  const auto account = nkey::generate(nkey_kind::account).public_key();
  const auto key = generate_cluster_api_key("cluster-a", account);
  const auto again = parse_cluster_api_key(to_text(key));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->cluster_name, "cluster-a");
  EXPECT_EQ(again->account, account);
  EXPECT_EQ(join_public_key(*again), join_public_key(key));
  EXPECT_NE(join_public_key(generate_cluster_api_key("cluster-a", account)), join_public_key(key));
}

TEST(cluster_key, the_cluster_name_takes_part_in_the_derivation) {
  auto key = generate_cluster_api_key("cluster-a", nkey::generate(nkey_kind::account).public_key());
  const auto before = join_public_key(key);
  key.cluster_name = "cluster-b";
  EXPECT_NE(join_public_key(key), before);
}

TEST(cluster_key, each_broken_part_is_named_and_the_secret_is_never_quoted) {
  const auto account = nkey::generate(nkey_kind::account).public_key();
  const std::string bytes(43, 'A');
  const std::vector<std::pair<std::string, std::string>> table{
    {"", "four parts"},
    {"mpk1.a." + account, "four parts"},
    {"mpk2.a." + account + "." + bytes, "mpk1"},
    {"mpk1.A." + account + "." + bytes, "cluster"},
    {"mpk1.." + account + "." + bytes, "cluster"},
    {"mpk1.a." + account.substr(0, 55) + (account.back() == '7' ? "6." : "7.") + bytes, "account"},
    {"mpk1.a." + account + ".AAAA", "32 bytes"},
    {"mpk1.a." + account + "." + bytes + ".x", "32 bytes"},
    {"mpk1.a." + account + "." + bytes + "=", "32 bytes"},
  };
  for (const auto& [text, why] : table) {
    const auto parsed = parse_cluster_api_key(crypto::secret{text});
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, errc::invalid_argument);
    EXPECT_NE(parsed.error().message.find(why), std::string::npos) << parsed.error().message;
    EXPECT_EQ(parsed.error().message.find(bytes), std::string::npos);
  }
  EXPECT_TRUE(parse_cluster_api_key(crypto::secret{"mpk1.a." + account + "." + bytes}));
}

TEST(trust, a_restart_keeps_every_key) {
  auto keyring = with_cluster();
  ASSERT_TRUE(keyring.issue_join_key(a, now));
  const auto user = nkey::generate(nkey_kind::user).public_key();
  ASSERT_TRUE(keyring.revoke(a, user, now));
  ASSERT_TRUE(keyring.add_cluster(b, "cluster-b"));
  const auto again = trust::from_json(keyring.to_json());
  ASSERT_TRUE(again) << again.error().message;
  // Ed25519 is deterministic: the same keys sign the same bytes.
  EXPECT_EQ(again->operator_jwt(now), keyring.operator_jwt(now));
  EXPECT_EQ(again->system_account_jwt(now), keyring.system_account_jwt(now));
  EXPECT_EQ(again->management_account_jwt(now), keyring.management_account_jwt(now));
  for (const auto id : {a, b}) {
    EXPECT_EQ(*again->account_jwt(id, now), *keyring.account_jwt(id, now));
    EXPECT_EQ(*again->mint_user(id, {role::proxy, user, "p"}, now),
              *keyring.mint_user(id, {role::proxy, user, "p"}, now));
  }
}

TEST(trust, a_damaged_keyring_is_corrupt) {
  const std::string whole{with_cluster().to_json().expose()};
  for (const auto& text : {std::string{}, std::string{"[]"}, std::string{"{}"},
                           whole.substr(0, whole.size() / 2), R"({"version":2})" + std::string{}}) {
    const auto read = trust::from_json(crypto::secret{text});
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, errc::corrupt);
  }
  auto altered = nlohmann::json::parse(whole);
  altered["clusters"][0]["account"] = "SAAAA";
  const auto read = trust::from_json(crypto::secret{altered.dump()});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, errc::corrupt);
}

TEST(trust, a_rotation_has_two_cluster_keys_and_no_third) {
  auto keyring = with_cluster();
  const auto first = keyring.issue_join_key(a, now);
  const auto second = keyring.issue_join_key(a, now);
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  EXPECT_EQ(keyring.issue_join_key(a, now).error().code, errc::conflict);
  EXPECT_TRUE(keyring.remove_join_key(a, first->entry.id));
  EXPECT_EQ(keyring.remove_join_key(a, first->entry.id).error().code, errc::not_found);
  EXPECT_EQ(keyring.add_join_key(a, second->entry.public_key, now).error().code, errc::conflict);
  EXPECT_TRUE(keyring.add_join_key(a, first->entry.public_key, now));
}

TEST(trust, the_secret_of_a_cluster_key_is_not_kept) {
  auto keyring = with_cluster();
  const auto issued = keyring.issue_join_key(a, now);
  ASSERT_TRUE(issued);
  const std::string stored{keyring.to_json().expose()};
  EXPECT_EQ(stored.find(crypto::to_base64url(issued->key.bytes.expose())), std::string::npos);
  EXPECT_EQ(stored.find(join_signing_key(issued->key).seed().expose()), std::string::npos);
}

TEST(trust, ids_and_names_of_clusters_are_unique_and_unknown_ones_not_found) {
  auto keyring = with_cluster();
  EXPECT_EQ(keyring.add_cluster(a, "other").error().code, errc::conflict);
  EXPECT_EQ(keyring.add_cluster(b, "cluster-a").error().code, errc::conflict);
  EXPECT_EQ(keyring.account_jwt(b, now).error().code, errc::not_found);
  EXPECT_EQ(keyring.revoke(b, "U", now).error().code, errc::not_found);
  EXPECT_TRUE(keyring.remove_cluster(a));
  EXPECT_EQ(keyring.remove_cluster(a).error().code, errc::not_found);
}

TEST(trust, refuses_grants_that_mean_nothing) {
  const auto keyring = with_cluster();
  const auto user = nkey::generate(nkey_kind::user).public_key();
  EXPECT_FALSE(keyring.mint_user(a, {role::join, user, "j"}, now));
  EXPECT_FALSE(keyring.mint_user(a, {role::proxy, "not a key", "p"}, now));
  EXPECT_FALSE(keyring.mint_user(a, {role::siem, user, "a.*.>"}, now));
  EXPECT_TRUE(keyring.mint_user(a, {role::siem, user, "splunk-1"}, now));
}

TEST(trust, a_later_revocation_extends_an_earlier_one_and_never_shortens_it) {
  auto keyring = with_cluster();
  const auto user = nkey::generate(nkey_kind::user).public_key();
  ASSERT_TRUE(keyring.revoke(a, user, now));
  ASSERT_TRUE(keyring.revoke(a, user, now - std::chrono::hours{1}));
  EXPECT_EQ((*keyring.find(a))->revocations.at(user), now);
  EXPECT_EQ(claims_of(*keyring.account_jwt(a, now))["nats"]["revocations"][user], 1'800'000'000);
}

TEST(roles, every_role_denies_what_reaches_past_the_account) {
  auto keyring = with_cluster();
  ASSERT_TRUE(keyring.issue_join_key(a, now));
  const auto claims = claims_of(*keyring.account_jwt(a, now));
  const auto& keys = claims["nats"]["signing_keys"];
  ASSERT_EQ(keys.size(), roles().size());
  for (const auto& key : keys) {
    const auto& denied = key["template"]["pub"]["deny"];
    for (const auto* subject : {"$JS.API.ACCOUNT.PURGE.>", "$JS.API.ACCOUNT.STREAM.>",
                                "$JS.API.SERVER.>", "$JS.API.META.>"})
      EXPECT_NE(std::find(denied.begin(), denied.end(), subject), denied.end())
        << key["role"] << " " << subject;
  }
}

TEST(roles, only_the_manager_sees_more_than_its_own_inbox) {
  for (const auto& rights : roles()) {
    for (const auto subject : rights.subscribe) {
      EXPECT_TRUE(!subject.starts_with("_INBOX") || subject == "_INBOX.{{subject()}}.>")
        << rights.name;
      EXPECT_TRUE(subject != ">" || rights.who == role::manager) << rights.name;
    }
    EXPECT_EQ(parse_role(rights.name), rights.who);
    EXPECT_EQ(&rights_of(rights.who), &rights);
  }
  EXPECT_FALSE(parse_role("root"));
}

} // namespace

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/store.hpp"

#include "actors/crypto/digest.hpp"
#include "tests/support/store_fixture.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::storage {

namespace {

class model_store : public test::on_each_store {};
MP_ON_EACH_DATABASE(model_store);

TEST_P(model_store, what_is_created_is_read_back_the_same_after_a_restart) {
  auto value = service("db.primary", "2001:db8::7");
  value.description = "the \xC3\xBC database";
  value.ports = model::port_set({{5432, 5432}});
  value.collection = "db";
  value.listen_port = 15432;
  const auto made = store_->create_service(by(5), value);
  ASSERT_TRUE(made) << to_string(made.error());
  EXPECT_EQ(made->revision.value, 1U);
  EXPECT_EQ(made->version, 1U);
  reopen();
  const auto back = store_->service(cluster_, service_id{made->id});
  ASSERT_TRUE(back) << to_string(back.error());
  value.id = service_id{made->id};
  EXPECT_EQ(back->value, value);
  EXPECT_EQ(back->created_at, test::at(5));
  const auto cluster = store_->cluster_by_name("eu-1");
  ASSERT_TRUE(cluster);
  EXPECT_EQ(cluster->value.id, cluster_);
}

TEST_P(model_store, limits_are_kept_and_go_into_the_revision) {
  model::limits limits;
  limits.per = model::limit_scope::source;
  limits.requests = model::rate_limit{10, 60, 20};
  limits.bytes = model::rate_limit{1'000'000, 1, 5'000'000};
  auto value = service("a");
  value.limits = limits;
  const auto made = store_->create_service(by(), value);
  ASSERT_TRUE(made) << to_string(made.error());
  auto rule = mapping(service_id{made->id}, service_id{made->id});
  rule.limits = limits;
  rule.limits->max_connections = 7;
  const auto mapped = store_->create_mapping(by(), rule);
  ASSERT_TRUE(mapped) << to_string(mapped.error());
  reopen();
  EXPECT_EQ(store_->service(cluster_, service_id{made->id})->value.limits, value.limits);
  EXPECT_EQ(store_->mapping(cluster_, mapping_id{mapped->id})->value.limits, rule.limits);
  const auto rules = model::decode_ruleset(*store_->content(cluster_, mapped->revision));
  ASSERT_TRUE(rules) << to_string(rules.error());
  EXPECT_EQ(rules->services.at(0).limits, value.limits);
  EXPECT_EQ(rules->mappings.at(0).limits, rule.limits);
}

TEST_P(model_store, names_with_sql_in_them_are_only_names) {
  const std::string evil = "x'; DROP TABLE services; --";
  auto value = service("a");
  value.description = evil;
  value.collection = "c";
  const auto made = store_->create_service(by(), value);
  ASSERT_TRUE(made);
  auto rule = mapping(service_id{made->id}, service_id{made->id});
  rule.name = evil;
  rule.comment = "$1 \" \\ %s ; \xE2\x80\xA8";
  const auto mapped = store_->create_mapping(by(), rule);
  ASSERT_TRUE(mapped) << to_string(mapped.error());
  const auto found = store_->mappings(cluster_, {.name = evil}, {});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->items.size(), 1U);
  EXPECT_EQ(found->items[0].value.comment, rule.comment);
  EXPECT_FALSE(store_->cluster_by_name("' OR 1=1 --"));
  EXPECT_EQ(store_->services(cluster_, {.name = "' OR '1'='1"}, {})->items.size(), 0U);
  EXPECT_FALSE(store_->user_by_name("admin'/*"));
  EXPECT_EQ(store_->service(cluster_, service_id{made->id})->value.description, evil);
}

TEST_P(model_store, a_name_is_unique_in_its_cluster_only) {
  const auto first = add_service("web");
  const auto twice = store_->create_service(by(), service("web"));
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, errc::conflict);
  const auto other = store_->create_cluster(by(), named("us-1"));
  ASSERT_TRUE(other);
  auto elsewhere = service("web");
  elsewhere.cluster = cluster_id{other->id};
  EXPECT_TRUE(store_->create_service(by(), elsewhere));
  EXPECT_FALSE(store_->service(cluster_id{other->id}, first))
    << "another cluster's service is seen";
  EXPECT_EQ(store_->create_cluster(by(), named("us-1")).error().code, errc::conflict);
  EXPECT_FALSE(store_->create_cluster(by(), named(audit::installation_ledger)));
}

TEST_P(model_store, a_change_refused_leaves_no_trace) {
  add_service("web");
  const auto head = store_->audit_head_of("eu-1");
  const auto waiting = store_->unsent(1000)->size();
  ASSERT_FALSE(store_->create_service(by(), service("web")));
  EXPECT_EQ(*store_->audit_head_of("eu-1"), *head);
  EXPECT_EQ(store_->unsent(1000)->size(), waiting);
  EXPECT_EQ((*store_->latest(cluster_))->number.value, 1U);
  EXPECT_EQ(add_service("next").value != 0, true);
  EXPECT_EQ((*store_->latest(cluster_))->number.value, 2U)
    << "the refused change used a revision up";
}

TEST_P(model_store, an_update_counts_on_the_version_that_was_read) {
  const auto id = add_service("web");
  auto value = store_->service(cluster_, id)->value;
  value.description = "one";
  const auto first = store_->update_service(by(9), value, 1);
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_EQ(first->version, 2U);
  value.description = "two";
  const auto late = store_->update_service(by(), value, 1);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, errc::precondition_failed);
  EXPECT_TRUE(store_->update_service(by(), value, std::nullopt));
  EXPECT_EQ(store_->service(cluster_, id)->version, 3U);
  value.id = service_id{999};
  EXPECT_EQ(store_->update_service(by(), value, {}).error().code, errc::not_found);
}

TEST_P(model_store, a_service_in_use_is_not_deleted_and_its_users_are_named) {
  const auto from = add_service("app");
  const auto to = add_service("db");
  auto rule = mapping(from, to);
  rule.name = "app to db";
  const auto made = store_->create_mapping(by(), rule);
  ASSERT_TRUE(made);
  const auto refused = store_->delete_service(by(), cluster_, to, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::conflict);
  EXPECT_NE(refused.error().message.find(std::to_string(made->id) + " \"app to db\""),
            std::string::npos);
  ASSERT_TRUE(store_->delete_mapping(by(), cluster_, mapping_id{made->id}, {}));
  EXPECT_TRUE(store_->delete_service(by(), cluster_, to, {}));
  EXPECT_EQ(store_->service(cluster_, to).error().code, errc::not_found);
}

TEST_P(model_store, a_mapping_cannot_name_a_service_of_another_cluster) {
  const auto other = store_->create_cluster(by(), named("us-1"));
  auto elsewhere = service("web");
  elsewhere.cluster = cluster_id{other->id};
  const auto foreign = store_->create_service(by(), elsewhere);
  ASSERT_TRUE(foreign);
  const auto refused =
    store_->create_mapping(by(), mapping(add_service("app"), service_id{foreign->id}));
  ASSERT_FALSE(refused);
  ASSERT_EQ(refused.error().fields.size(), 1U);
  EXPECT_EQ(refused.error().fields[0].field, "destinations[0]");
}

TEST_P(model_store, a_source_keeps_an_address_and_a_service_with_credentials_its_auth) {
  const auto from = add_service("app");
  auto value = service("api", "10.0.0.2");
  value.auth = model::auth_type::base64;
  const auto to = service_id{store_->create_service(by(), value)->id};
  ASSERT_TRUE(store_->create_mapping(by(), mapping(from, to)));
  auto named = store_->service(cluster_, from)->value;
  named.address = model::dns_name{"example.org", false};
  EXPECT_EQ(store_->update_service(by(), named, {}).error().code, errc::conflict);
  ASSERT_TRUE(store_->add_credential(by(), cluster_, credential(to, "", std::string(64, 'a'))));
  auto without = store_->service(cluster_, to)->value;
  without.auth = model::auth_type::none;
  EXPECT_EQ(store_->update_service(by(), without, {}).error().code, errc::conflict);
  ASSERT_TRUE(store_->remove_credential(by(), cluster_, to, "k1"));
  EXPECT_TRUE(store_->update_service(by(), without, {}));
}

TEST_P(model_store, lists_are_paged_and_filtered) {
  for (int i = 0; i < 7; ++i) {
    auto value = service("s" + std::to_string(i));
    value.collection = i % 2 == 0 ? "even" : "odd";
    ASSERT_TRUE(store_->create_service(by(), value));
  }
  std::vector<std::string> seen;
  page_request which{.limit = 3};
  int pages = 0;
  do {
    const auto part = store_->services(cluster_, {}, which);
    ASSERT_TRUE(part);
    for (const auto& one : part->items)
      seen.push_back(one.value.name);
    which.after = part->next;
    ++pages;
  } while (which.after != 0);
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(seen, (std::vector<std::string>{"s0", "s1", "s2", "s3", "s4", "s5", "s6"}));
  EXPECT_EQ(store_->services(cluster_, {.collection = "even"}, {})->items.size(), 4U);
  EXPECT_EQ(store_->services(cluster_, {.name = "s1", .collection = "even"}, {})->items.size(), 0U);
  const auto first = service_id{store_->services(cluster_, {.name = "s0"}, {})->items[0].value.id};
  ASSERT_TRUE(store_->create_mapping(by(), mapping(first, first)));
  EXPECT_EQ(store_->mappings(cluster_, {.service = first}, {})->items.size(), 1U);
  EXPECT_EQ(store_->mappings(cluster_, {.service = service_id{first.value + 1}}, {})->items.size(),
            0U);
}

TEST_P(model_store, a_cluster_goes_only_when_it_is_empty) {
  const auto id = add_service("web");
  const auto refused = store_->delete_cluster(by(), cluster_, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::conflict);
  ASSERT_TRUE(store_->delete_service(by(), cluster_, id, {}));
  ASSERT_TRUE(store_->add_join_key(by(), cluster_, "UKEY", {}));
  const auto gone = store_->delete_cluster(by(), cluster_, {});
  ASSERT_TRUE(gone) << to_string(gone.error());
  EXPECT_EQ(store_->cluster(cluster_).error().code, errc::not_found);
  EXPECT_TRUE(verify("eu-1").ok()) << "the ledger outlives its cluster";
}

TEST_P(model_store, a_cluster_keeps_its_name_and_changes_the_rest) {
  auto value = store_->cluster(cluster_)->value;
  value.description = "now described";
  value.max_proxies = 9;
  ASSERT_TRUE(store_->update_cluster(by(), value, 1));
  EXPECT_EQ(store_->cluster(cluster_)->value, value);
  EXPECT_FALSE(*store_->latest(cluster_)) << "no ruleset was changed";
  value.observe = true;
  auto observed = store_->update_cluster(by(), value, {});
  ASSERT_TRUE(observed) << to_string(observed.error());
  EXPECT_EQ(observed->revision.value, 1U) << "what decides traffic makes a revision";
  EXPECT_TRUE(model::decode_ruleset(*store_->content(cluster_, revision{1}))->observe);
  value.name = "other";
  EXPECT_FALSE(store_->update_cluster(by(), value, {}));
  EXPECT_EQ(store_->clusters({})->items.size(), 1U);
}

TEST_P(model_store, a_create_repeated_with_its_key_answers_the_same) {
  auto once = by();
  once.once = idempotency{"key-1", "hash-a"};
  const auto first = store_->create_service(once, service("web"));
  ASSERT_TRUE(first);
  const auto again = store_->create_service(once, service("web"));
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(again->id, first->id);
  EXPECT_EQ(again->revision, first->revision);
  EXPECT_EQ(again->sequence, first->sequence);
  EXPECT_EQ(store_->services(cluster_, {}, {})->items.size(), 1U);
  once.once->request_hash = "hash-b";
  EXPECT_EQ(store_->create_service(once, service("other")).error().code, errc::conflict);
  once.actor_id = "8";
  EXPECT_TRUE(store_->create_service(once, service("other"))) << "keys are each actor's own";
}

TEST_P(model_store, the_directory_knows_names_ids_collections_and_addresses) {
  auto value = service("web", "10.0.0.0/8");
  value.collection = "front";
  const auto id = service_id{store_->create_service(by(), value)->id};
  const auto names = store_->directory(cluster_);
  ASSERT_TRUE(names);
  EXPECT_EQ((*names)->find_by_name("web"), id);
  EXPECT_FALSE((*names)->find_by_name("nope"));
  EXPECT_TRUE((*names)->exists(id));
  EXPECT_TRUE((*names)->collection_exists("front"));
  EXPECT_FALSE((*names)->collection_exists("back"));
  EXPECT_EQ((*names)->address_of(id), value.address);
  const auto parsed = model::parse_mapping(
    nlohmann::json{{"sources", {"web"}}, {"destinations", {"collection:front", id.value}}},
    **names);
  EXPECT_TRUE(parsed) << to_string(parsed.error());
}

TEST_P(model_store, shared_secrets_are_sealed_where_they_lie) {
  auto value = service("api");
  value.auth = model::auth_type::jwt;
  const auto id = service_id{store_->create_service(by(), value)->id};
  const std::string shared = "c2hhcmVkLXNlY3JldC1zaGFyZWQtc2VjcmV0LXNoYXJlZA";
  const auto added = store_->add_credential(by(), cluster_, credential(id, "HS256", shared));
  ASSERT_TRUE(added) << to_string(added.error());
  EXPECT_EQ(store_->credentials(cluster_, id)->at(0).verifier, shared);
  EXPECT_EQ(store_->ruleset_of(cluster_)->credentials.at(0).verifier, shared);
  const auto raw = connect(url());
  for (auto found : {(*raw)->exec("SELECT verifier FROM credentials"),
                     (*raw)->exec("SELECT content FROM revisions")}) {
    ASSERT_TRUE(found);
    for (const auto& one : found->list) {
      EXPECT_FALSE(one.bytes(0).empty());
      EXPECT_EQ(one.bytes(0).find(shared), std::string::npos);
    }
  }
  const auto records = (*raw)->exec("SELECT record FROM audit");
  for (const auto& one : records->list)
    EXPECT_EQ(one.text(0).find(shared), std::string::npos);
}

} // namespace

} // namespace marchproxy::storage

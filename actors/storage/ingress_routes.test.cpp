// SPDX-License-Identifier: AGPL-3.0-only
#include "tests/support/store_fixture.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace marchproxy::storage {

namespace {

using model::ingress_route;
using model::ingress_route_id;

class route_store : public test::on_each_store {
protected:
  void SetUp() override {
    on_each_store::SetUp();
    auto one = service("web");
    one.ports = model::port_set({{8080, 8080}});
    const auto made = store_->create_service(by(), one);
    ASSERT_TRUE(made) << to_string(made.error());
    web_ = service_id{made->id};
  }
  [[nodiscard]] ingress_route route(std::string name) const {
    ingress_route out;
    out.cluster = cluster_;
    out.name = std::move(name);
    out.backends = {{web_, 0, 1}};
    return out;
  }
  ingress_route_id add(const ingress_route& value) {
    const auto made = store_->create_ingress_route(by(3), value);
    EXPECT_TRUE(made) << (made ? "" : to_string(made.error()));
    return made ? ingress_route_id{made->id} : ingress_route_id{};
  }
  [[nodiscard]] errc refused(const ingress_route& value) {
    const auto made = store_->create_ingress_route(by(), value);
    EXPECT_FALSE(made);
    return made ? errc::internal : made.error().code;
  }
  service_id web_;
};
MP_ON_EACH_DATABASE(route_store);

TEST_P(route_store, what_is_created_is_read_back_and_is_in_the_ruleset) {
  auto value = route("shop");
  value.host = "shop.example";
  value.path = "/api";
  value.backends = {{web_, 0, 2}, {web_, 9090, 1}};
  value.request_headers = {{"x-env", "prod"}};
  value.id = add(value);
  reopen();
  const auto back = store_->ingress_route(cluster_, value.id);
  ASSERT_TRUE(back) << to_string(back.error());
  EXPECT_EQ(back->value, value);
  EXPECT_EQ(back->version, 1U);
  EXPECT_EQ(back->created_at, test::at(3));
  const auto rules = store_->ruleset_of(cluster_);
  ASSERT_TRUE(rules) << to_string(rules.error());
  EXPECT_EQ(rules->ingress_routes, std::vector{value});
  EXPECT_EQ(model::decode_ruleset(*store_->content(cluster_, rules->revision)), *rules);
  EXPECT_EQ(store_->ingress_routes(cluster_, "shop", {})->items.size(), 1U);
  EXPECT_EQ(store_->ingress_routes(cluster_, "other", {})->items.size(), 0U);
}

TEST_P(route_store, a_change_is_audited_and_announced) {
  auto value = route("shop");
  value.id = add(value);
  value.retries = 3;
  const auto changed = store_->update_ingress_route(by(), value, 1);
  ASSERT_TRUE(changed) << to_string(changed.error());
  EXPECT_EQ(changed->version, 2U);
  ASSERT_TRUE(store_->delete_ingress_route(by(), cluster_, value.id, 2));
  EXPECT_EQ(store_->ingress_route(cluster_, value.id).error().code, errc::not_found);
  std::vector<std::string> told;
  const auto unsent = store_->unsent(100).value();
  for (const auto& row : unsent)
    if (row.subject == "mp.v1.event.ingress_route.changed")
      told.push_back(nlohmann::json::parse(row.payload)["op"]);
  EXPECT_EQ(told, (std::vector<std::string>{"created", "updated", "deleted"}));
  std::vector<std::string> actions;
  const auto audited = store_->audit("eu-1", 1, 100).value();
  for (const auto& row : audited)
    actions.push_back(nlohmann::json::parse(row.record)["action"]);
  for (const auto* action :
       {"ingress_route.create", "ingress_route.update", "ingress_route.delete"})
    EXPECT_EQ(std::count(actions.begin(), actions.end(), action), 1) << action;
  EXPECT_TRUE(verify("eu-1").ok());
}

TEST_P(route_store, a_stale_version_changes_nothing) {
  auto value = route("shop");
  value.id = add(value);
  EXPECT_EQ(store_->update_ingress_route(by(), value, 7).error().code, errc::precondition_failed);
  EXPECT_EQ(store_->delete_ingress_route(by(), cluster_, value.id, 7).error().code,
            errc::precondition_failed);
}

TEST_P(route_store, http_routes_share_a_port_and_a_tcp_route_has_it_alone) {
  add(route("any"));
  auto by_host = route("host");
  by_host.host = "a.example";
  by_host.id = add(by_host);
  auto same = by_host;
  same.name = "same";
  EXPECT_EQ(refused(same), errc::conflict);
  same.match = model::path_match::exact;
  add(same);
  auto tcp = route("tcp");
  tcp.protocol = model::route_protocol::tcp;
  EXPECT_EQ(refused(tcp), errc::conflict) << "port 80 serves HTTP";
  tcp.listen_port = 5432;
  add(tcp);
  auto late = route("late");
  late.listen_port = 5432;
  EXPECT_EQ(refused(late), errc::conflict) << "port 5432 is the tcp route's";
  EXPECT_EQ(refused(route("any")), errc::conflict) << "the name is taken";
  EXPECT_TRUE(store_->update_ingress_route(by(), by_host, std::nullopt)) << "it may keep its place";
}

TEST_P(route_store, routes_share_host_and_path_if_their_conditions_differ) {
  auto plain = route("plain");
  plain.id = add(plain);
  auto beta = route("beta");
  beta.headers = {{"x-env", model::header_test::value, "beta"}};
  beta.response_headers = {{"server", std::nullopt}};
  beta.id = add(beta);
  EXPECT_EQ(store_->ingress_route(cluster_, beta.id)->value, beta);
  auto same = beta;
  same.name = "same";
  EXPECT_EQ(refused(same), errc::conflict);
  same.headers[0].test = model::header_test::prefix;
  same.id = add(same);
  same.headers = {};
  EXPECT_EQ(store_->update_ingress_route(by(), same, std::nullopt).error().code, errc::conflict);
  const auto then = store_->ruleset_of(cluster_)->revision;
  ASSERT_TRUE(store_->delete_ingress_route(by(), cluster_, beta.id, std::nullopt));
  ASSERT_TRUE(store_->restore(by(), cluster_, then));
  EXPECT_EQ(store_->ingress_route(cluster_, beta.id)->value, beta);
  auto again = beta;
  again.name = "again";
  EXPECT_EQ(refused(again), errc::conflict) << "what is restored has its place";
}

TEST_P(route_store, the_active_routes_of_a_port_agree_on_tls) {
  auto shop = route("shop");
  shop.id = add(shop);
  auto safe = route("safe");
  safe.host = "safe.example";
  safe.tls = model::route_tls{model::client_certificates{{"Ann"}, {}, {"spiffe://a/b"}}};
  const auto made = store_->create_ingress_route(by(), safe);
  ASSERT_FALSE(made);
  ASSERT_EQ(made.error().fields.size(), 1U) << to_string(made.error());
  EXPECT_EQ(made.error().fields[0].field, "tls");
  EXPECT_NE(made.error().fields[0].message.find("\"shop\""), std::string::npos);
  safe.active = false;
  safe.id = add(safe);
  EXPECT_EQ(store_->ingress_route(cluster_, safe.id)->value, safe);
  safe.active = true;
  EXPECT_EQ(store_->update_ingress_route(by(), safe, std::nullopt).error().code,
            errc::invalid_argument);
  shop.active = false;
  ASSERT_TRUE(store_->update_ingress_route(by(), shop, std::nullopt));
  ASSERT_TRUE(store_->update_ingress_route(by(), safe, std::nullopt));
  shop.active = true;
  shop.tls.emplace();
  EXPECT_TRUE(store_->update_ingress_route(by(), shop, std::nullopt));
}

TEST_P(route_store, a_service_stays_what_a_route_needs) {
  auto other = route("other");
  other.backends = {{service_id{99}, 1, 1}};
  EXPECT_EQ(refused(other), errc::invalid_argument);
  other.backends = {{add_service("net", "10.0.0.0/8"), 1, 1}};
  EXPECT_EQ(refused(other), errc::invalid_argument);
  const auto id = add(route("shop"));
  const auto in_use = store_->delete_service(by(), cluster_, web_, std::nullopt);
  ASSERT_FALSE(in_use);
  EXPECT_EQ(in_use.error().code, errc::conflict);
  EXPECT_NE(in_use.error().message.find("\"shop\""), std::string::npos) << in_use.error().message;
  auto changed = service("web", "10.1.0.0/16");
  changed.id = web_;
  changed.ports = model::port_set({{8080, 8080}});
  EXPECT_EQ(store_->update_service(by(), changed, std::nullopt).error().code, errc::conflict);
  changed.address = *model::parse_address("10.0.0.2", "address");
  changed.ports = {};
  EXPECT_EQ(store_->update_service(by(), changed, std::nullopt).error().code, errc::conflict);
  changed.ports = model::port_set({{8081, 8081}});
  changed.tls_enabled = true;
  EXPECT_TRUE(store_->update_service(by(), changed, std::nullopt));
  ASSERT_TRUE(store_->delete_ingress_route(by(), cluster_, id, std::nullopt));
  EXPECT_TRUE(store_->delete_service(by(), cluster_, web_, std::nullopt));
}

TEST_P(route_store, come_back_with_an_earlier_revision) {
  auto value = route("shop");
  value.id = add(value);
  const auto then = store_->ruleset_of(cluster_)->revision;
  ASSERT_TRUE(store_->delete_ingress_route(by(), cluster_, value.id, std::nullopt));
  EXPECT_TRUE(store_->ruleset_of(cluster_)->ingress_routes.empty());
  const auto restored = store_->restore(by(), cluster_, then);
  ASSERT_TRUE(restored) << to_string(restored.error());
  EXPECT_EQ(store_->ruleset_of(cluster_)->ingress_routes, std::vector{value});
  EXPECT_EQ(store_->delete_service(by(), cluster_, web_, std::nullopt).error().code,
            errc::conflict);
  EXPECT_EQ(store_->delete_cluster(by(), cluster_, std::nullopt).error().code, errc::conflict);
}

} // namespace
} // namespace marchproxy::storage

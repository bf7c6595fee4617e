// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/routing/route_table.hpp"

#include <gtest/gtest.h>

namespace marchproxy::routing {
namespace {

using model::path_match;

/// Services 1 (10.0.0.1, port 8080), 2 (app.internal, any port), 3 (a network).
class route_tables : public ::testing::Test {
protected:
  route_tables() {
    for (const auto& [address, ports] :
         {std::pair{"10.0.0.1", "8080"}, std::pair{"app.internal", ""},
          std::pair{"10.0.0.0/8", "80"}}) {
      model::service s;
      s.id = service_id{rules.services.size() + 1};
      s.address = *model::parse_address(address, "address");
      s.ports = *model::parse_ports(std::string_view{ports}, "ports");
      rules.services.push_back(std::move(s));
    }
  }
  model::ingress_route& add(std::string name, std::string host = {}, std::string path = "/") {
    auto& one = rules.ingress_routes.emplace_back();
    one.id = model::ingress_route_id{rules.ingress_routes.size()};
    one.name = std::move(name);
    one.host = std::move(host);
    one.path = std::move(path);
    one.backends = {{service_id{1}, 0, 1}};
    return one;
  }
  [[nodiscard]] std::shared_ptr<const route_table> build() {
    auto built = route_table::build(rules, known);
    EXPECT_TRUE(built) << (built ? "" : to_string(built.error()));
    return built ? *built : nullptr;
  }
  [[nodiscard]] static std::string found(const route_table& table,
                                         const char* host,
                                         const char* path,
                                         std::uint16_t port = 80,
                                         std::string_view head = {}) {
    wire::field_list fields;
    EXPECT_EQ(fields.parse(head), wire::http1_error::none);
    const auto* route = table.find(port, *wire::host::parse(host), path, fields);
    return route == nullptr ? "" : route->definition.name;
  }
  model::ruleset rules;
  endpoints known;
};

TEST_F(route_tables, the_routes_of_a_port_agree_on_tls_and_one_is_enough_to_ask_who_clients_are) {
  add("open", "a.test").tls.emplace();
  add("plain", "b.test").listen_port = 81;
  auto table = build();
  ASSERT_NE(table->at(80), nullptr);
  EXPECT_TRUE(table->at(80)->tls);
  EXPECT_FALSE(table->at(80)->asks_who);
  EXPECT_FALSE(table->at(81)->tls);
  EXPECT_EQ(table->at(82), nullptr);
  add("closed", "c.test").tls = model::route_tls{model::client_certificates{}};
  table = build();
  EXPECT_TRUE(table->at(80)->asks_who);
  EXPECT_EQ(table->ports().size(), 2U);
  add("torn", "d.test");
  const auto refused = route_table::build(rules, known);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::corrupt);
  rules.ingress_routes.back().active = false;
  EXPECT_TRUE(route_table::build(rules, known));
}

TEST_F(route_tables, the_most_specific_host_that_has_the_path_counts) {
  add("any");
  add("wide", "*.example.org");
  add("narrow", "*.eu.example.org");
  add("name", "shop.eu.example.org", "/shop");
  add("address", "192.0.2.1");
  add("address6", "2001:db8::1");
  const auto table = build();
  EXPECT_EQ(found(*table, "other", "/"), "any");
  EXPECT_EQ(found(*table, "example.org", "/"), "any") << "the wildcard is for what is below";
  EXPECT_EQ(found(*table, "a.example.org", "/"), "wide");
  EXPECT_EQ(found(*table, "a.b.example.org", "/"), "wide");
  EXPECT_EQ(found(*table, "a.eu.example.org", "/"), "narrow");
  EXPECT_EQ(found(*table, "SHOP.eu.example.org.", "/shop/x"), "name");
  EXPECT_EQ(found(*table, "shop.eu.example.org", "/else"), "narrow");
  EXPECT_EQ(found(*table, "192.0.2.1", "/"), "address");
  EXPECT_EQ(found(*table, "[2001:db8::1]", "/"), "address6");
  EXPECT_EQ(found(*table, "192.0.2.2", "/"), "any");
  EXPECT_EQ(found(*table, "other", "/", 81), "");
}

TEST_F(route_tables, the_most_specific_path_counts_by_whole_segments) {
  add("root");
  add("api", "", "/api");
  add("v2", "", "/api/v2");
  add("exact", "", "/api").match = path_match::exact;
  const auto table = build();
  EXPECT_EQ(found(*table, "h", "/"), "root");
  EXPECT_EQ(found(*table, "h", "/apix"), "root");
  EXPECT_EQ(found(*table, "h", "/api"), "exact");
  EXPECT_EQ(found(*table, "h", "/api/"), "api");
  EXPECT_EQ(found(*table, "h", "/api/v1"), "api");
  EXPECT_EQ(found(*table, "h", "/api/v2"), "v2");
  EXPECT_EQ(found(*table, "h", "/api/v2/x/y/z"), "v2");
  EXPECT_EQ(found(*table, "h", "/API"), "root") << "case counts in paths";
}

TEST_F(route_tables, of_one_host_and_path_the_route_with_the_most_conditions_that_hold_counts) {
  using enum model::header_test;
  add("plain", "", "/api");
  add("late", "", "/api").headers = {{"x-b", present, ""}};
  add("beta", "", "/api").headers = {{"x-env", value, "beta"}};
  add("both", "", "/api").headers = {{"x-b", present, ""}, {"x-env", prefix, "be"}};
  add("no cookie", "", "/api/v2").headers = {{"cookie", absent, ""}};
  add("root");
  add("exact", "", "/api").match = path_match::exact;
  rules.ingress_routes.back().headers = {{"accept", prefix, "text/"}};
  const auto table = build();
  const auto get = [&](const char* path, std::string_view head) {
    return found(*table, "h", path, 80, head);
  };
  EXPECT_EQ(get("/api", ""), "plain");
  EXPECT_EQ(get("/api", "X-Env: beta\r\n"), "beta");
  EXPECT_EQ(get("/api", "X-Env: Beta\r\n"), "plain") << "case counts in values";
  EXPECT_EQ(get("/api", "X-ENV: live\r\nx-env: beta\r\n"), "beta") << "any field of the name";
  EXPECT_EQ(get("/api/x", "x-b: 1\r\nx-env: better\r\n"), "both");
  EXPECT_EQ(get("/api", "x-b: 1\r\nx-env: live\r\n"), "late");
  EXPECT_EQ(get("/api", "Accept: text/html\r\nx-env: beta\r\n"), "exact") << "paths first";
  EXPECT_EQ(get("/api/v2", ""), "no cookie");
  EXPECT_EQ(get("/api/v2", "Cookie: a=b\r\n"), "plain") << "on to the next path";
  EXPECT_EQ(get("/", "x-env: beta\r\n"), "root");
}

TEST_F(route_tables, of_as_many_conditions_the_lowest_id_is_asked_first) {
  using enum model::header_test;
  add("first").headers = {{"x-z", present, ""}};
  add("second").headers = {{"x-a", present, ""}};
  add("third").headers = {{"x-b", present, ""}};
  const auto table = build();
  EXPECT_EQ(found(*table, "h", "/", 80, "x-a: 1\r\nx-b: 1\r\nx-z: 1\r\n"), "first");
  EXPECT_EQ(found(*table, "h", "/", 80, "x-a: 1\r\nx-b: 1\r\n"), "second");
  EXPECT_EQ(found(*table, "h", "/", 80, "x-b: 1\r\n"), "third");
  EXPECT_EQ(found(*table, "h", "/"), "") << "none is for all";
}

TEST_F(route_tables, without_a_route_for_all_some_requests_have_none) {
  add("api", "a.example", "/api");
  const auto table = build();
  EXPECT_EQ(found(*table, "a.example", "/"), "");
  EXPECT_EQ(found(*table, "b.example", "/api"), "");
}

TEST_F(route_tables, lead_to_the_backends_that_are_active) {
  add("two").backends = {{service_id{1}, 0, 3}, {service_id{2}, 9090, 1}};
  auto table = build();
  const auto* route = table->find(80, *wire::host::parse("h"), "/", {});
  ASSERT_EQ(route->backends->members().size(), 2U);
  EXPECT_EQ(route->backends->members()[0].endpoint->target().text(), "10.0.0.1:8080");
  EXPECT_EQ(route->backends->members()[0].weight, 3U);
  EXPECT_EQ(route->backends->members()[1].endpoint->target().text(), "app.internal:9090");
  const auto same = build();
  EXPECT_EQ(same->routes()[0]->backends->members()[0].endpoint,
            route->backends->members()[0].endpoint)
    << "what is known of a backend outlives a revision";
  rules.services[0].active = false;
  EXPECT_EQ(build()->routes()[0]->backends->members().size(), 1U);
  rules.services[1].active = false;
  EXPECT_EQ(build()->routes()[0]->backends, nullptr);
}

TEST_F(route_tables, backends_start_slowly_drain_and_are_bounded_as_their_route_says) {
  using namespace std::chrono_literals;
  auto& route = add("all");
  route.backends = {
    {service_id{1}, 0, 1}, {service_id{2}, 9090, 1}, {service_id{2}, 9091, 5, true}};
  route.slow_start = 100s;
  route.max_requests = 1;
  const auto table = build();
  const auto& backends = *table->routes()[0]->backends;
  ASSERT_EQ(backends.members().size(), 3U);
  backends.members()[0].endpoint->set_up(false);
  const auto back = clock::now() + 1h;
  backends.members()[0].endpoint->set_up(true, back);
  int first = 0;
  for (int i = 0; i < 1'000; ++i) {
    const auto chosen = backends.choose(0, {}, back + 50s);
    EXPECT_NE(chosen, 2U);
    first += chosen == 0U ? 1 : 0;
  }
  EXPECT_NEAR(first, 250, 10);
  const auto use = backends.use(1);
  EXPECT_EQ(backends.choose(0, {}, back), 0U) << "the other is full";
}

TEST_F(route_tables, ports_are_http_or_one_tcp_route_s) {
  add("a").listen_port = 8443;
  add("b", "b.example");
  auto& tcp = add("db");
  tcp.protocol = model::route_protocol::tcp;
  tcp.listen_port = 5432;
  add("off").active = false;
  const auto table = build();
  EXPECT_EQ(table->ports(), (std::vector<route_table::port>{{80, model::route_protocol::http},
                                                            {5432, model::route_protocol::tcp},
                                                            {8443, model::route_protocol::http}}));
  EXPECT_EQ(table->tcp(5432)->definition.name, "db");
  EXPECT_EQ(table->tcp(80), nullptr);
  EXPECT_EQ(table->find(5432, *wire::host::parse("h"), "/", {}), nullptr);
}

TEST_F(route_tables, say_which_backends_want_to_be_asked_how_they_are) {
  rules.services[0].health.enabled = true;
  rules.services[0].health.path = "/healthz";
  auto& tcp = add("tcp");
  tcp.protocol = model::route_protocol::tcp;
  tcp.listen_port = 5432;
  tcp.backends.push_back({service_id{2}, 9090, 1});
  rules.services[0].proxy_protocol = model::proxy_header::v2;
  ASSERT_EQ(build()->checked().size(), 1U) << "the second has no check";
  EXPECT_EQ(build()->checked()[0].introduces, model::proxy_header::v2);
  EXPECT_EQ(build()->routes()[0]->backends->members()[0].introduces, model::proxy_header::v2);
  EXPECT_EQ(build()->routes()[0]->backends->members()[1].introduces, model::proxy_header::off);
  EXPECT_FALSE(build()->checked()[0].http);
  EXPECT_EQ(build()->checked()[0].how.path, "/healthz");
  add("http");
  ASSERT_EQ(build()->checked().size(), 1U) << "one endpoint, asked once";
  EXPECT_TRUE(build()->checked()[0].http);
}

TEST_F(route_tables, what_the_manager_refuses_is_refused) {
  const auto refused = [&] {
    const auto built = route_table::build(rules, known);
    rules.ingress_routes.pop_back();
    return !built && built.error().code == errc::corrupt;
  };
  add("net").backends = {{service_id{3}, 80, 1}};
  EXPECT_TRUE(refused());
  add("no port").backends = {{service_id{2}, 0, 1}};
  EXPECT_TRUE(refused());
  add("nobody").backends = {{service_id{9}, 80, 1}};
  EXPECT_TRUE(refused());
  add("first");
  add("second");
  EXPECT_TRUE(refused());
  add("second").headers = {{"a", model::header_test::present, ""}};
  EXPECT_TRUE(build());
  add("third").headers = {{"a", model::header_test::present, ""}};
  EXPECT_TRUE(refused());
  add("tcp").protocol = model::route_protocol::tcp;
  EXPECT_TRUE(refused());
}

} // namespace
} // namespace marchproxy::routing

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/model.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>

namespace marchproxy::model {
namespace {

using nlohmann::json;

json with(const char* changes) {
  json body{{"name", "web"}, {"address", "10.0.0.1"}};
  body.update(json::parse(changes));
  return body;
}

struct good_case {
  const char* changes;
  std::function<bool(const service&)> holds;
};

TEST(service_input, accepts_todays_and_the_earlier_encodings) {
  const good_case cases[] = {
    {"{}", [](const service& s) { return s.active && s.tls_verify && !s.tls_enabled; }},
    {R"({"id":9,"cluster_id":3,"version":2,"created_at":"x","updated_at":null,"created_by":1})",
     [](const service& s) { return !s.id && !s.cluster; }},
    {R"({"port":443})", [](const service& s) { return s.ports.text() == "443"; }},
    {R"({"ports":"80,443"})", [](const service& s) { return s.ports.text() == "80,443"; }},
    {R"({"ports":[{"start":1,"end":5},7]})",
     [](const service& s) { return s.ports.text() == "1-5,7"; }},
    {R"({"protocol":"tcp"})", [](const service& s) { return s.protocols == 1; }},
    {R"({"protocol":"UDP"})", [](const service& s) { return s.protocols == 2; }},
    {R"({"protocol":"both"})", [](const service& s) { return s.protocols == 3; }},
    {R"({"protocol":"any"})", [](const service& s) { return s.protocols == any_protocol; }},
    {R"({"protocol":"https"})", [](const service& s) { return s.protocols == 1; }},
    {R"({"protocols":"tcp, icmp"})", [](const service& s) { return s.protocols == 5; }},
    {R"({"protocols":["udp","tcp","udp"]})", [](const service& s) { return s.protocols == 3; }},
    {R"({"protocols":[]})", [](const service& s) { return s.protocols == any_protocol; }},
    {R"({"protocols":["tcp","any"]})",
     [](const service& s) { return s.protocols == any_protocol; }},
    {R"({"protocols":null})", [](const service& s) { return s.protocols == any_protocol; }},
    {R"({"auth_type":"base64"})", [](const service& s) { return s.auth == auth_type::base64; }},
    {R"({"auth_type":"api_key"})", [](const service& s) { return s.auth == auth_type::base64; }},
    {R"({"auth_type":"jwt"})", [](const service& s) { return s.auth == auth_type::jwt; }},
    {R"({"auth_type":"none"})", [](const service& s) { return s.auth == auth_type::none; }},
    {R"({"tls_enabled":true,"tls_verify":false})",
     [](const service& s) { return s.tls_enabled && !s.tls_verify; }},
    {R"({"health_check_enabled":true,"health_check_path":"/up?x=1","health_check_interval":5})",
     [](const service& s) {
       return s.health.enabled && s.health.path == "/up?x=1" && s.health.interval.count() == 5;
     }},
    {R"({"health_check":{"enabled":true,"healthy_threshold":9}})",
     [](const service& s) { return s.health.enabled && s.health.healthy_threshold == 9; }},
    {R"({"health_check_path":null})", [](const service& s) { return s.health.path == "/"; }},
    {R"({"collection":"db"})", [](const service& s) { return s.collection == "db"; }},
    {R"({"collection":""})", [](const service& s) { return s.collection.empty(); }},
    {R"({"is_active":false})", [](const service& s) { return !s.active; }},
    {R"({"ports":"80","listen_port":8443})",
     [](const service& s) { return s.listen_port == std::uint16_t{8443}; }},
    {R"({"listen_port":null})", [](const service& s) { return !s.listen_port; }},
    {R"({"proxy_protocol":"v2"})",
     [](const service& s) { return s.proxy_protocol == proxy_header::v2; }},
    {R"({"proxy_protocol":"off","address":"10.0.0.0/24"})",
     [](const service& s) { return s.proxy_protocol == proxy_header::off; }},
    {R"({"description":"Größe €, 東京"})", [](const service& s) { return !s.description.empty(); }},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.changes);
    const auto got = parse_service(with(one.changes));
    ASSERT_TRUE(got) << to_string(got.error());
    EXPECT_TRUE(one.holds(*got)) << to_json(*got).dump();
  }
}

struct bad_case {
  const char* changes;
  const char* field;
};

constexpr bad_case bad_cases[] = {
  {R"({"name":null})", "name"},
  {R"({"name":""})", "name"},
  {R"({"name":7})", "name"},
  {R"({"name":"-a"})", "name"},
  {R"({"name":"a b"})", "name"},
  {R"({"name":"a\u0000b"})", "name"},
  {R"({"name":"all"})", "name"},
  {R"({"name":"123"})", "name"},
  {R"({"name":"collection:x"})", "name"},
  {R"({"address":null})", "address"},
  {R"({"address":42})", "address"},
  {R"({"address":"10.0.0.1/8"})", "address"},
  {R"({"address":["10.0.0.1"]})", "address"},
  {R"({"ip_fqdn":"10.0.0.2"})", "ip_fqdn"},
  {R"({"ports":"80,x"})", "ports"},
  {R"({"ports":[80,0]})", "ports[1]"},
  {R"({"port":65536})", "port"},
  {R"({"port":1,"ports":2})", "port"},
  {R"({"protocol":"sctp"})", "protocol"},
  {R"({"protocols":"tcp,"})", "protocols"},
  {R"({"protocols":["tcp",7]})", "protocols[1]"},
  {R"({"protocols":["tcp","gopher"]})", "protocols[1]"},
  {R"({"protocols":{"tcp":true}})", "protocols"},
  {R"({"collection":"a b"})", "collection"},
  {R"({"auth_type":"basic"})", "auth_type"},
  {R"({"auth_type":"JWT"})", "auth_type"},
  {R"({"auth_type":true})", "auth_type"},
  {R"({"tls_enabled":"true"})", "tls_enabled"},
  {R"({"tls_verify":1})", "tls_verify"},
  {R"({"active":"yes"})", "active"},
  {R"({"is_active":0})", "is_active"},
  {R"({"active":true,"is_active":true})", "is_active"},
  {R"({"health_check":true})", "health_check"},
  {R"({"health_check":{"path":"up"}})", "health_check.path"},
  {R"({"health_check":{"interval":0}})", "health_check.interval"},
  {R"({"health_check":{"healthy_threshold":101}})", "health_check.healthy_threshold"},
  {R"({"health_check":{"unhealthy_threshold":-1}})", "health_check.unhealthy_threshold"},
  {R"({"health_check":{"pth":"/"}})", "health_check.pth"},
  {R"({"health_check_path":"/a b"})", "health_check_path"},
  {R"({"health_check_interval":86401})", "health_check_interval"},
  {R"({"health_check_interval":1.5})", "health_check_interval"},
  {R"({"listen_port":0,"ports":"80"})", "listen_port"},
  {R"({"proxy_protocol":"v3"})", "proxy_protocol"},
  {R"({"proxy_protocol":true})", "proxy_protocol"},
  {R"({"proxy_protocol":"v1","address":"10.0.0.0/24"})", "proxy_protocol"},
  {R"({"proxy_protocol":"v1","address":"*.example.org"})", "proxy_protocol"},
  {R"({"proxy_protocol":"v1","protocols":"udp"})", "proxy_protocol"},
  {R"({"listen_port":80})", "listen_port"},
  {R"({"listen_port":80,"ports":"80,81"})", "listen_port"},
  {R"({"listen_port":80,"ports":"80","address":"10.0.0.0/24"})", "listen_port"},
  {R"({"listen_port":80,"ports":"80","address":"*.example.org"})", "listen_port"},
  {R"({"description":"a\nb"})", "description"},
  {R"({"description":"a\u007fb"})", "description"},
  {R"({"description":"a\u0085b"})", "description"},
  {R"({"description":"a\u202eb"})", "description"},
  {R"({"colection":"x"})", "colection"},
  {R"({"":1})", ""},
};

TEST(service_input, refuses_by_the_name_the_client_used) {
  for (const auto& one : bad_cases) {
    SCOPED_TRACE(one.changes);
    const auto got = parse_service(with(one.changes));
    ASSERT_FALSE(got) << to_json(*got).dump();
    EXPECT_EQ(got.error().code, errc::invalid_argument);
    const auto& fields = got.error().fields;
    EXPECT_TRUE(
      std::any_of(fields.begin(), fields.end(),
                  [&](const field_error& f) { return f.field == one.field && !f.message.empty(); }))
      << to_string(got.error());
  }
}

TEST(service_input, reports_all_faults_at_once) {
  const auto got = parse_service(json::parse(
    R"({"nam":"x","ip_fqdn":"1.2.3","port":"x","protocol":"y","tls_enabled":1,"health_check":{"path":1}})"));
  ASSERT_FALSE(got);
  std::vector<std::string> fields;
  for (const auto& fault : got.error().fields)
    fields.push_back(fault.field);
  const std::vector<std::string> expected{"name",        "ip_fqdn",           "port", "protocol",
                                          "tls_enabled", "health_check.path", "nam"};
  EXPECT_EQ(fields, expected);
  EXPECT_NE(got.error().fields.back().message.find("did you mean `name`"), std::string::npos);
}

TEST(service_input, refuses_what_is_no_object) {
  for (const auto* text : {"null", "[]", "1", "\"x\"", "true"}) {
    const auto got = parse_service(json::parse(text));
    ASSERT_FALSE(got) << text;
    EXPECT_EQ(got.error().fields.at(0).field, "body");
  }
}

TEST(service_input, refuses_bytes_that_are_not_utf8) {
  const std::string bad[] = {"\xff",  "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                             "a\xc3", "\x80"};
  for (const auto& text : bad) {
    auto body = with("{}");
    body["description"] = text;
    EXPECT_FALSE(parse_service(body));
    body = with("{}");
    body[text] = 1;
    const auto unknown = parse_service(body);
    ASSERT_FALSE(unknown);
    EXPECT_NO_THROW(static_cast<void>(json(unknown.error().fields.at(0).field).dump()));
  }
}

TEST(service_input, bounds_lengths) {
  auto body = with("{}");
  body["name"] = std::string(100, 'a');
  body["description"] = std::string(2000, 'a');
  EXPECT_TRUE(parse_service(body));
  body["name"] = std::string(101, 'a');
  body["description"] = std::string(2001, 'a');
  const auto got = parse_service(body);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().fields.size(), 2U);
}

TEST(service_input, answers_a_flood_of_unknown_fields_with_a_bounded_error) {
  auto body = with("{}");
  for (int i = 0; i < 5000; ++i)
    body["field" + std::to_string(i) + std::string(200, 'x')] = i;
  const auto got = parse_service(body);
  ASSERT_FALSE(got);
  EXPECT_LE(got.error().fields.size(), 100U);
  EXPECT_LE(got.error().fields[0].field.size(), 80U);
}

TEST(service_input, a_patch_under_an_older_name_takes_the_place_of_todays) {
  const auto before = parse_service(with(R"({"ports":"80","health_check":{"path":"/a"}})")).value();
  const auto merged = merge_patch(
    to_json(before), json::parse(R"({"port":443,"health_check_path":"/b","is_active":false})"));
  const auto after = parse_service(merged);
  ASSERT_TRUE(after) << to_string(after.error());
  EXPECT_EQ(after->ports.text(), "443");
  EXPECT_EQ(after->health.path, "/b");
  EXPECT_FALSE(after->active);
  EXPECT_EQ(after->address, before.address);
}

TEST(cluster_input, checks_name_and_seats) {
  EXPECT_TRUE(parse_cluster(json{{"name", "edge-1"}, {"max_proxies", 3}}));
  EXPECT_TRUE(parse_cluster(json{{"name", "a"}}));
  EXPECT_FALSE(parse_cluster(json{{"name", "a"}})->observe);
  EXPECT_TRUE(parse_cluster(json{{"name", "a"}, {"observe", true}})->observe);
  EXPECT_FALSE(parse_cluster(json{{"name", "a"}, {"observe", 1}}));
  EXPECT_TRUE(parse_cluster(json{{"name", std::string(63, 'a')}}));
  for (const auto& name : {"Edge", "-a", "a-", "a_b", "a.b", "", "a b"})
    EXPECT_FALSE(parse_cluster(json{{"name", name}})) << name;
  EXPECT_FALSE(parse_cluster(json{{"name", std::string(64, 'a')}}));
  EXPECT_FALSE(parse_cluster(json{{"name", "a"}, {"max_proxies", -1}}));
  EXPECT_FALSE(parse_cluster(json{{"name", "a"}, {"max_proxies", 1'000'001}}));
  EXPECT_FALSE(parse_cluster(json{{"name", "a"}, {"proxies", 1}}));
}

} // namespace
} // namespace marchproxy::model

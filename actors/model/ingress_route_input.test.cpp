// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/model.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace marchproxy::model {
namespace {

using nlohmann::json;

/// web (1) at an address and port 8080, app (2) at a name and any port, net (3) a network.
class three_services final : public service_directory {
public:
  std::optional<service_id> find_by_name(std::string_view name) const override {
    if (name == "web")
      return service_id{1};
    if (name == "app")
      return service_id{2};
    return name == "net" ? std::optional{service_id{3}} : std::nullopt;
  }
  bool exists(service_id id) const override { return id.value >= 1 && id.value <= 3; }
  bool collection_exists(std::string_view) const override { return false; }
  std::optional<service_address> address_of(service_id id) const override {
    constexpr std::array<const char*, 3> addresses{"10.0.0.1", "app.internal", "10.0.0.0/8"};
    return exists(id) ? std::optional{*parse_address(addresses[id.value - 1], "address")}
                      : std::nullopt;
  }
  port_set ports_of(service_id id) const override {
    return id.value == 2 ? port_set{} : *parse_ports(std::string_view{"8080"}, "ports");
  }
};

const three_services services;

result<ingress_route> parse(const char* changes) {
  json body{{"name", "shop"}, {"backends", {"web"}}};
  body.update(json::parse(changes));
  return parse_ingress_route(body, services);
}

TEST(ingress_route_input, has_defaults) {
  const auto got = parse("{}");
  ASSERT_TRUE(got) << to_string(got.error());
  ingress_route wanted;
  wanted.name = "shop";
  wanted.backends = {{service_id{1}, 0, 1}};
  EXPECT_EQ(*got, wanted);
}

TEST(ingress_route_input, reads_every_field_and_writes_it_back) {
  const auto got =
    parse(R"({"description": "the shop", "listen_port": 8443, "host": "*.Shop.Example.",
    "path": "/api/", "path_match": "exact", "balancing": "source_hash", "strip_prefix": true,
    "add_prefix": "/v2/", "request_headers": {"X-Env": "prod", "Cookie": null}, "retries": 3, "active": false, "retry_budget": 50, "max_requests": 100, "slow_start": 30,
    "backends": [{"service": "web", "weight": 3, "draining": true}, {"service": 2, "port": 80}]})");
  ASSERT_TRUE(got) << to_string(got.error());
  EXPECT_EQ(got->host, "*.shop.example");
  EXPECT_EQ(got->path, "/api");
  EXPECT_EQ(got->add_prefix, "/v2");
  EXPECT_EQ(got->retry_budget, 50U);
  EXPECT_EQ(got->max_requests, 100U);
  EXPECT_EQ(got->slow_start, std::chrono::seconds{30});
  EXPECT_EQ(got->backends,
            (std::vector<ingress_backend>{{service_id{1}, 0, 3, true}, {service_id{2}, 80, 1}}));
  EXPECT_EQ(got->request_headers,
            (std::vector<header_change>{{"cookie", std::nullopt}, {"x-env", "prod"}}));
  const auto again = parse_ingress_route(to_json(*got), services);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(*again, *got);
}

TEST(ingress_route_input, headers_are_conditions_in_order_and_each_once) {
  const auto got =
    parse(R"({"headers": [{"name": "X-Env", "value": "Beta"}, {"name": "accept", "prefix": "text/"},
    {"name": "x-b", "absent": true}, {"name": "x-a", "present": true}, {"name": "X-A", "present": true, "absent": null}],
    "response_headers": {"Server": null, "X-Frame-Options": "DENY"}})");
  ASSERT_TRUE(got) << to_string(got.error());
  EXPECT_EQ(got->headers, (std::vector<header_condition>{{"accept", header_test::prefix, "text/"},
                                                         {"x-a", header_test::present, ""},
                                                         {"x-b", header_test::absent, ""},
                                                         {"x-env", header_test::value, "Beta"}}));
  EXPECT_EQ(got->response_headers,
            (std::vector<header_change>{{"server", std::nullopt}, {"x-frame-options", "DENY"}}));
  EXPECT_EQ(*parse_ingress_route(to_json(*got), services), *got);
}

TEST(ingress_route_input, a_redirect_needs_no_backend) {
  const auto got =
    parse(R"({"backends": null, "redirect": {"location": "https://shop.example{path}"}})");
  ASSERT_TRUE(got) << to_string(got.error());
  EXPECT_EQ(got->redirect, (redirect{308, "https://shop.example{path}"}));
  EXPECT_EQ(*parse_ingress_route(to_json(*got), services), *got);
}

TEST(ingress_route_input, reads_the_earlier_marchproxys_record) {
  const auto got = parse_ingress_route(json::parse(R"({"id": 3, "name": "db", "cluster_id": 1,
    "source_port": 5432, "dest_service_id": 1, "protocol": "tcp", "enabled": true, "description": null,
    "created_at": "then"})"),
                                       services);
  ASSERT_TRUE(got) << to_string(got.error());
  EXPECT_EQ(got->protocol, route_protocol::tcp);
  EXPECT_EQ(got->listen_port, 5432);
  EXPECT_EQ(got->backends.at(0).service, service_id{1});
  EXPECT_EQ(
    parse_ingress_route(json{{"name", "db"}, {"source_port", 1}, {"dest_service_id", 1}}, services)
      ->protocol,
    route_protocol::tcp)
    << "what it was when nothing was said";
}

TEST(ingress_route_input, a_patch_in_the_earlier_words_replaces) {
  const auto before = parse(R"({"listen_port": 81})");
  const auto patched = parse_ingress_route(
    merge_patch(to_json(*before),
                json{{"source_port", 82}, {"enabled", false}, {"dest_service_id", 2}}),
    services);
  ASSERT_FALSE(patched) << "service 2 has no port of its own";
  const auto good = parse_ingress_route(
    merge_patch(to_json(*before), json{{"source_port", 82}, {"enabled", false}}), services);
  ASSERT_TRUE(good) << to_string(good.error());
  EXPECT_EQ(good->listen_port, 82);
  EXPECT_FALSE(good->active);
  EXPECT_EQ(good->protocol, route_protocol::http);
}

TEST(ingress_route_input, tls_is_a_word_or_says_who_clients_must_be) {
  const auto plain = parse(R"({"tls": false})");
  ASSERT_TRUE(plain) << to_string(plain.error());
  EXPECT_FALSE(plain->tls);
  EXPECT_EQ(plain->listen_port, 80);
  for (const auto* text :
       {R"({"tls": true})", R"({"tls": {}})", R"({"tls": {"client_certificates": false}})"}) {
    const auto got = parse(text);
    ASSERT_TRUE(got) << to_string(got.error());
    EXPECT_EQ(got->tls, route_tls{});
    EXPECT_EQ(got->listen_port, 443);
    EXPECT_EQ(*parse_ingress_route(to_json(*got), services), *got);
  }
  EXPECT_EQ(parse(R"({"tls": true, "listen_port": 8443})")->listen_port, 8443);
  EXPECT_EQ(parse(R"({"tls": {"client_certificates": true}})")->tls,
            route_tls{client_certificates{}});
  const auto named = parse(R"({"tls": {"client_certificates": {"common_names": ["Ann B"],
    "dns_names": ["CLIENT.example"], "uris": ["spiffe://x/y"]}}})");
  ASSERT_TRUE(named) << to_string(named.error());
  EXPECT_EQ(named->tls,
            (route_tls{client_certificates{{"Ann B"}, {"client.example"}, {"spiffe://x/y"}}}));
  EXPECT_EQ(*parse_ingress_route(to_json(*named), services), *named);
  const auto opened = parse_ingress_route(
    merge_patch(to_json(*named), json{{"tls", {{"client_certificates", nullptr}}}}), services);
  EXPECT_EQ(opened->tls, route_tls{});
  EXPECT_FALSE(
    parse_ingress_route(merge_patch(to_json(*named), json{{"tls", nullptr}}), services)->tls);
}

struct bad_case {
  const char* changes;
  const char* field;
};

constexpr bad_case bad_cases[] = {
  {R"({"name": null})", "name"},
  {R"({"name": "a b"})", "name"},
  {R"({"listen_port": 0})", "listen_port"},
  {R"({"listen_port": "80"})", "listen_port"},
  {R"({"protocol": "udp"})", "protocol"},
  {R"({"protocol": "tcp"})", "listen_port"},
  {R"({"protocol": "tcp", "listen_port": 1, "host": "a.example"})", "host"},
  {R"({"protocol": "tcp", "listen_port": 1, "path": "/a"})", "path"},
  {R"({"protocol": "tcp", "listen_port": 1, "path_match": "exact"})", "path_match"},
  {R"({"protocol": "tcp", "listen_port": 1, "strip_prefix": true})", "strip_prefix"},
  {R"({"protocol": "tcp", "listen_port": 1, "add_prefix": "/a"})", "add_prefix"},
  {R"({"protocol": "tcp", "listen_port": 1, "request_headers": {"a": "b"}})", "request_headers"},
  {R"({"protocol": "tcp", "listen_port": 1, "backends": null, "redirect": {"location": "/"}})",
   "redirect"},
  {R"({"host": "a b"})", "host"},
  {R"({"host": "10.0.0.0/8"})", "host"},
  {R"({"path": "a"})", "path"},
  {R"({"path": "/a/../b"})", "path"},
  {R"({"path_match": "regex"})", "path_match"},
  {R"({"backends": null})", "backends"},
  {R"({"backends": []})", "backends"},
  {R"({"backends": ["nobody"]})", "backends[0]"},
  {R"({"backends": [9]})", "backends[0]"},
  {R"({"backends": ["net"]})", "backends[0]"},
  {R"({"backends": ["app"]})", "backends[0]"},
  {R"({"backends": [{"service": "app"}]})", "backends[0].port"},
  {R"({"backends": [{"weight": 1}]})", "backends[0].service"},
  {R"({"backends": [{"service": 1, "weight": 0}]})", "backends[0].weight"},
  {R"({"backends": [{"service": 1, "x": 0}]})", "backends[0].x"},
  {R"({"backends": ["web", 1]})", "backends[1]"},
  {R"({"backends": true})", "backends"},
  {R"({"balancing": "random"})", "balancing"},
  {R"({"retries": 11})", "retries"},
  {R"({"retry_budget": 101})", "retry_budget"},
  {R"({"retry_budget": "20%"})", "retry_budget"},
  {R"({"max_requests": 0})", "max_requests"},
  {R"({"slow_start": 3601})", "slow_start"},
  {R"({"backends": [{"service": 1, "draining": 1}]})", "backends[0].draining"},
  {R"({"max_requests": 1000001})", "max_requests"},
  {R"({"request_headers": []})", "request_headers"},
  {R"({"request_headers": {"Host": "x"}})", "request_headers.Host"},
  {R"({"request_headers": {"a": "b\r\nc"}})", "request_headers.a"},
  {R"({"request_headers": {"a": 1}})", "request_headers.a"},
  {R"({"request_headers": {"a": "1", "A": "2"}})", "request_headers.a"},
  {R"({"response_headers": {"Transfer-Encoding": null}})", "response_headers.Transfer-Encoding"},
  {R"({"response_headers": {"Content-Length": "1"}})", "response_headers.Content-Length"},
  {R"({"response_headers": {"connection": "x"}})", "response_headers.connection"},
  {R"({"backends": null, "redirect": {"location": "/"}, "response_headers": {"a": "b"}})",
   "response_headers"},
  {R"({"protocol": "tcp", "listen_port": 1, "response_headers": {"a": "b"}})", "response_headers"},
  {R"({"protocol": "tcp", "listen_port": 1, "headers": [{"name": "a", "present": true}]})",
   "headers"},
  {R"({"headers": {"a": "b"}})", "headers"},
  {R"({"headers": [1]})", "headers[0]"},
  {R"({"headers": [{"value": "b"}]})", "headers[0].name"},
  {R"({"headers": [{"name": "a b", "value": "b"}]})", "headers[0].name"},
  {R"({"headers": [{"name": "Host", "value": "b"}]})", "headers[0].name"},
  {R"({"headers": [{"name": "a"}]})", "headers[0].name"},
  {R"({"headers": [{"name": "a", "value": "b", "absent": true}]})", "headers[0].name"},
  {R"({"headers": [{"name": "a", "value": 1}]})", "headers[0].value"},
  {R"({"headers": [{"name": "a", "prefix": "b\n"}]})", "headers[0].prefix"},
  {R"({"headers": [{"name": "a", "present": false}]})", "headers[0].present"},
  {R"({"headers": [{"name": "a", "present": true, "x": 1}]})", "headers[0].x"},
  {R"({"headers": [{}, {}, {}, {}, {}, {}, {}, {}, {}]})", "headers"},
  {R"({"redirect": {"location": "/"}})", "backends"},
  {R"({"backends": null, "redirect": {"location": "//x"}})", "redirect.location"},
  {R"({"backends": null, "redirect": {"location": "/", "status": 305}})", "redirect.status"},
  {R"({"backends": null, "redirect": {"status": 301}})", "redirect.location"},
  {R"({"enabled": 1})", "enabled"},
  {R"({"tls": 1})", "tls"},
  {R"({"tls": {"x": 1}})", "tls.x"},
  {R"({"tls": {"client_certificates": 1}})", "tls.client_certificates"},
  {R"({"tls": {"client_certificates": {"x": []}}})", "tls.client_certificates.x"},
  {R"({"tls": {"client_certificates": {"common_names": "Ann"}}})",
   "tls.client_certificates.common_names"},
  {R"({"tls": {"client_certificates": {"common_names": ["a", "b\n"]}}})",
   "tls.client_certificates.common_names[1]"},
  {R"({"tls": {"client_certificates": {"dns_names": ["*.example"]}}})",
   "tls.client_certificates.dns_names[0]"},
  {R"({"tls": {"client_certificates": {"dns_names": ["10.0.0.1"]}}})",
   "tls.client_certificates.dns_names[0]"},
  {R"({"tls": {"client_certificates": {"uris": ["nothing"]}}})", "tls.client_certificates.uris[0]"},
  {R"({"request_headers": {"X-Client-Cert-Subject": "CN=me"}})",
   "request_headers.X-Client-Cert-Subject"},
  {R"({"hots": "a"})", "hots"},
};

TEST(ingress_route_input, refuses_bad_fields_by_name) {
  for (const auto& one : bad_cases) {
    SCOPED_TRACE(one.changes);
    const auto got = parse(one.changes);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().fields.at(0).field, one.field) << to_string(got.error());
  }
}

} // namespace
} // namespace marchproxy::model

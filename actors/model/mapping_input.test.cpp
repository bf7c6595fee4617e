// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/model.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

namespace marchproxy::model {
namespace {

using nlohmann::json;

/// web (1) and app (2) at addresses, api (3) at a name; web and app are in the collection `front`.
class three_services final : public service_directory {
public:
  std::optional<service_id> find_by_name(std::string_view name) const override {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end())
      return std::nullopt;
    return service_id{static_cast<std::uint64_t>(found - names_.begin()) + 1};
  }
  bool exists(service_id id) const override { return id.value >= 1 && id.value <= 3; }
  bool collection_exists(std::string_view name) const override { return name == "front"; }
  std::optional<service_address> address_of(service_id id) const override {
    if (!exists(id))
      return std::nullopt;
    return parse_address(id.value == 3 ? "api.example" : "10.0.0.1", "address").value();
  }
  port_set ports_of(service_id) const override { return {}; }

private:
  std::array<std::string_view, 3> names_{"web", "app", "api"};
};

const three_services services;

json with(const char* changes) {
  json body{{"sources", "web"}, {"destinations", "app"}};
  body.update(json::parse(changes));
  return body;
}

struct selector_case {
  const char* given;
  const char* canonical; ///< "!field" when refused
};

const selector_case selectors[] = {
  {"1", R"([{"id":1,"type":"service"}])"},
  {R"("1")", R"([{"id":1,"type":"service"}])"},
  {R"("web")", R"([{"id":1,"type":"service"}])"},
  {R"(["web"])", R"([{"id":1,"type":"service"}])"},
  {R"([2,1,"web"])", R"([{"id":1,"type":"service"},{"id":2,"type":"service"}])"},
  {R"("web, app")", R"([{"id":1,"type":"service"},{"id":2,"type":"service"}])"},
  {R"("web,2,collection:front,all")",
   R"([{"id":1,"type":"service"},{"id":2,"type":"service"},{"name":"front","type":"collection"},{"type":"all"}])"},
  {R"("all")", R"([{"type":"all"}])"},
  {R"(["all"])", R"([{"type":"all"}])"},
  {R"("collection:front")", R"([{"name":"front","type":"collection"}])"},
  {R"({"type":"service","id":3})", R"([{"id":3,"type":"service"}])"},
  {R"({"type":"service","name":"api"})", R"([{"id":3,"type":"service"}])"},
  {R"([{"type":"service","id":1,"name":"web","ip_fqdn":"x","port":1,"cluster_id":1}])",
   R"([{"id":1,"type":"service"}])"},
  {R"([{"type":"collection","name":"front","cluster_id":1,"service_ids":[1],"count":1}])",
   R"([{"name":"front","type":"collection"}])"},
  {R"([{"type":"all","cluster_id":1,"count":3}])", R"([{"type":"all"}])"},
  {"null", "!destinations"},
  {"[]", "!destinations"},
  {R"("")", "!destinations"},
  {"true", "!destinations"},
  {"1.0", "!destinations"},
  {"-1", "!destinations"},
  {"0", "!destinations"},
  {"9", "!destinations"},
  {R"("nobody")", "!destinations"},
  {R"("web,,app")", "!destinations"},
  {R"("collection:")", "!destinations"},
  {R"("collection:back")", "!destinations"},
  {R"("ALL")", "!destinations"},
  {R"([1,"nobody"])", "!destinations[1]"},
  {R"([1,null])", "!destinations[1]"},
  {R"([1,[2]])", "!destinations[1]"},
  {R"([{}])", "!destinations[0].type"},
  {R"([{"type":"service"}])", "!destinations[0]"},
  {R"([{"type":"service","id":9}])", "!destinations[0].id"},
  {R"([{"type":"service","id":"1"}])", "!destinations[0].id"},
  {R"([{"type":"service","name":"x"}])", "!destinations[0].name"},
  {R"([{"type":"collection","name":"x"}])", "!destinations[0].name"},
  {R"([{"type":"collection"}])", "!destinations[0].name"},
  {R"([{"type":"everything"}])", "!destinations[0].type"},
  {R"([{"type":"service","id":1,"x":1}])", "!destinations[0].x"},
  {R"([18446744073709551616])", "!destinations[0]"},
};

TEST(mapping_input, reads_selectors_in_every_encoding) {
  for (const auto& [given, canonical] : selectors) {
    SCOPED_TRACE(given);
    auto body = with("{}");
    body["destinations"] = json::parse(given);
    const auto got = parse_mapping(body, services);
    if (canonical[0] == '!') {
      ASSERT_FALSE(got) << to_json(*got).dump();
      EXPECT_EQ(got.error().fields.at(0).field, canonical + 1);
    } else {
      ASSERT_TRUE(got) << to_string(got.error());
      EXPECT_EQ(to_json(*got)["destinations"].dump(), canonical);
    }
  }
}

TEST(mapping_input, names_the_selector_by_the_clients_own_field) {
  const auto got = parse_mapping(
    json::parse(R"({"source_services":[1,2,"nobody"],"dest_services":"all"})"), services);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().fields.at(0).field, "source_services[2]");
}

TEST(mapping_input, refuses_a_source_that_is_a_name) {
  EXPECT_TRUE(parse_mapping(with(R"({"destinations":[3]})"), services));
  const auto got = parse_mapping(with(R"({"sources":[1,3]})"), services);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().fields.at(0).field, "sources[1]");
  EXPECT_NE(got.error().message.find("api.example"), std::string::npos);
}

TEST(mapping_input, reads_the_earlier_marchproxys_record) {
  const auto got = parse_mapping(json::parse(R"({
    "id": 4, "name": "to app", "description": null, "source_services": [{"type":"all","count":3}],
    "dest_services": "app", "cluster_id": 1, "protocols": ["tcp","udp"],
    "ports": [{"type":"single","port":80},{"type":"range","start":8000,"end":8100}],
    "auth_required": true, "priority": 10, "is_active": false, "comments": "why", "created_at": "then"})"),
                                 services);
  ASSERT_TRUE(got) << to_string(got.error());
  EXPECT_EQ(got->name, "to app");
  EXPECT_EQ(got->ports.text(), "80,8000-8100");
  EXPECT_EQ(got->protocols, 3);
  EXPECT_TRUE(got->auth_required);
  EXPECT_EQ(got->priority, 10U);
  EXPECT_EQ(got->comment, "why");
  EXPECT_FALSE(got->active);
  EXPECT_EQ(got->action, mapping_action::allow);
}

struct bad_case {
  const char* changes;
  const char* field;
};

constexpr bad_case bad_cases[] = {
  {R"({"name":5})", "name"},
  {R"({"name":"a\tb"})", "name"},
  {R"({"priority":-1})", "priority"},
  {R"({"priority":65536})", "priority"},
  {R"({"priority":"1"})", "priority"},
  {R"({"action":"permit"})", "action"},
  {R"({"action":1})", "action"},
  {R"({"auth_required":"no"})", "auth_required"},
  {R"({"allow_private":1})", "allow_private"},
  {R"({"observe":"yes"})", "observe"},
  {R"({"when_revoked":"keep"})", "when_revoked"},
  {R"({"when_revoked":"drain","drain_seconds":0})", "drain_seconds"},
  {R"({"drain_seconds":86401})", "drain_seconds"},
  {R"({"comment":[]})", "comment"},
  {R"({"comment":"a","comments":"b"})", "comments"},
  {R"({"source_services":1})", "source_services"},
  {R"({"ports":{"start":2,"end":1}})", "ports"},
  {R"({"protocols":["tcp","x"]})", "protocols[1]"},
  {R"({"prority":1})", "prority"},
  {R"({"limits":{"per":"service","max_connections":1}})", "limits.per"},
  {R"({"limits":{"max_connections":1},"action":"deny"})", "limits"},
};

TEST(mapping_input, refuses_bad_fields_by_name) {
  for (const auto& one : bad_cases) {
    SCOPED_TRACE(one.changes);
    const auto got = parse_mapping(with(one.changes), services);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().fields.at(0).field, one.field) << to_string(got.error());
  }
}

TEST(mapping_input, connections_are_cut_unless_it_says_otherwise) {
  const auto usual = parse_mapping(with("{}"), services).value();
  EXPECT_EQ(usual.when_revoked, revocation::cut);
  const auto drained = parse_mapping(with(R"({"when_revoked":"drain"})"), services).value();
  EXPECT_EQ(drained.when_revoked, revocation::drain);
  EXPECT_EQ(drained.drain_seconds, usual_drain_seconds);
  const auto slow =
    parse_mapping(with(R"({"when_revoked":"drain","drain_seconds":7})"), services).value();
  EXPECT_EQ(to_json(slow)["when_revoked"], "drain");
  EXPECT_EQ(to_json(slow)["drain_seconds"], 7);
  EXPECT_EQ(parse_mapping(with(R"({"when_revoked":"finish"})"), services)->when_revoked,
            revocation::finish);
}

TEST(mapping_input, a_patch_keeps_what_it_does_not_name) {
  const auto before =
    parse_mapping(with(R"({"ports":"80","comment":"old","priority":5})"), services).value();
  const auto merged = merge_patch(
    to_json(before), json::parse(R"({"dest_services":["all"],"description":"new","ports":null})"));
  const auto after = parse_mapping(merged, services);
  ASSERT_TRUE(after) << to_string(after.error());
  EXPECT_EQ(after->destinations, std::vector<selector>{select_all{}});
  EXPECT_EQ(after->sources, before.sources);
  EXPECT_EQ(after->comment, "new");
  EXPECT_EQ(after->priority, 5U);
  EXPECT_TRUE(after->ports.unrestricted());
}

service owner(auth_type auth) {
  service out;
  out.id = service_id{7};
  out.auth = auth;
  return out;
}

TEST(credential_input, checks_kind_algorithm_and_the_form_of_the_verifier) {
  const std::string digest(64, 'a');
  const std::string shared(43, 'A');
  const std::string pem = "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n";
  const auto token = owner(auth_type::base64);
  const auto jwt = owner(auth_type::jwt);
  const auto ok = [](json body, const service& of) {
    return parse_credential(body, of).has_value();
  };
  EXPECT_TRUE(ok({{"kind", "base64"}, {"verifier", digest}}, token));
  EXPECT_TRUE(ok({{"kind", "api_key"}, {"id", "k_1"}, {"verifier", digest}}, token));
  EXPECT_TRUE(ok({{"kind", "jwt"}, {"algorithm", "HS256"}, {"verifier", shared}}, jwt));
  for (const auto* algorithm : {"RS256", "ES256", "EdDSA"})
    EXPECT_TRUE(ok({{"kind", "jwt"}, {"algorithm", algorithm}, {"verifier", pem}}, jwt));
  EXPECT_TRUE(ok({{"kind", "base64"}, {"verifier", digest}, {"expires_at", 1}}, token));
  EXPECT_FALSE(ok({{"kind", "base64"}, {"verifier", digest}}, jwt));
  EXPECT_FALSE(ok({{"kind", "base64"}, {"verifier", digest}}, owner(auth_type::none)));
  EXPECT_FALSE(ok({{"kind", "none"}, {"verifier", digest}}, owner(auth_type::none)));
  EXPECT_FALSE(ok({{"verifier", digest}}, token));
  EXPECT_FALSE(ok({{"kind", "base64"}}, token));
  EXPECT_FALSE(ok({{"kind", "base64"}, {"verifier", "abc"}}, token));
  EXPECT_FALSE(ok({{"kind", "base64"}, {"verifier", std::string(64, 'A')}}, token));
  EXPECT_FALSE(ok({{"kind", "base64"}, {"verifier", digest}, {"algorithm", "HS256"}}, token));
  EXPECT_FALSE(ok({{"kind", "base64"}, {"verifier", digest}, {"id", "a b"}}, token));
  EXPECT_FALSE(ok({{"kind", "base64"}, {"verifier", digest}, {"expires_at", -1}}, token));
  EXPECT_FALSE(ok({{"kind", "base64"}, {"verifier", digest}, {"expires_at", "soon"}}, token));
  EXPECT_FALSE(ok({{"kind", "jwt"}, {"verifier", shared}}, jwt));
  EXPECT_FALSE(ok({{"kind", "jwt"}, {"algorithm", "none"}, {"verifier", shared}}, jwt));
  EXPECT_FALSE(ok({{"kind", "jwt"}, {"algorithm", "HS256"}, {"verifier", pem}}, jwt));
  EXPECT_FALSE(ok({{"kind", "jwt"}, {"algorithm", "HS256"}, {"verifier", "c2hvcnQ"}}, jwt));
  EXPECT_FALSE(ok({{"kind", "jwt"}, {"algorithm", "ES256"}, {"verifier", shared}}, jwt));
}

TEST(credential_input, reads_expiry_as_time_and_never_returns_the_verifier) {
  const auto got = parse_credential(json{{"kind", "base64"},
                                         {"verifier", std::string(64, 'a')},
                                         {"expires_at", "2026-01-01T00:00:00Z"}},
                                    owner(auth_type::base64));
  ASSERT_TRUE(got) << to_string(got.error());
  EXPECT_EQ(got->expires_at, 1'767'225'600);
  EXPECT_EQ(got->service, service_id{7});
  EXPECT_FALSE(to_json(*got).contains("verifier"));
}

} // namespace
} // namespace marchproxy::model

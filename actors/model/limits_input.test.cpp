// SPDX-License-Identifier: AGPL-3.0-only
// The limits of mappings and services (POL-7), as clients give them.
#include "actors/model/model.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace marchproxy::model {
namespace {

using nlohmann::json;

result<service> with(const char* limits) {
  return parse_service({{"name", "web"}, {"address", "10.0.0.1"}, {"limits", json::parse(limits)}});
}

TEST(limits_input, what_is_not_given_is_usual) {
  const auto got = with(R"({"requests":{"rate":10},"bytes":{"rate":100,"interval":60}})");
  ASSERT_TRUE(got) << to_string(got.error());
  EXPECT_EQ(to_json(*got)["limits"], json::parse(R"({
    "per": "service", "connections": null, "max_connections": null,
    "requests": {"rate": 10, "interval": 1, "burst": 10},
    "packets": null, "bytes": {"rate": 100, "interval": 60, "burst": 1}})"));
  EXPECT_EQ(to_string(*got->limits),
            "10 requests a second (burst 10), 100 bytes in 60 s (burst 1)");
}

TEST(limits_input, none_are_null) {
  const auto got = with("null");
  ASSERT_TRUE(got);
  EXPECT_FALSE(got->limits);
  EXPECT_TRUE(to_json(*got)["limits"].is_null());
}

TEST(limits_input, each_source_can_have_them_for_itself) {
  const auto got =
    with(R"({"per":"source","max_connections":2,"connections":{"rate":5,"burst":9}})");
  ASSERT_TRUE(got) << to_string(got.error());
  EXPECT_EQ(got->limits->per, limit_scope::source);
  EXPECT_EQ(to_string(*got->limits),
            "5 connections a second (burst 9), 2 connections at once, each source for itself");
}

TEST(limits_input, a_patch_takes_limits_away) {
  const auto before = with(R"({"max_connections":2})");
  ASSERT_TRUE(before);
  const auto after =
    parse_service(merge_patch(to_json(*before), json::parse(R"({"limits":null})")));
  ASSERT_TRUE(after);
  EXPECT_FALSE(after->limits);
}

struct bad_case {
  const char* given;
  const char* field;
};

constexpr bad_case bad_cases[] = {
  {"5", "limits"},
  {"{}", "limits"},
  {R"({"per":"source"})", "limits"},
  {R"({"per":"mapping","max_connections":1})", "limits.per"},
  {R"({"max_connections":0})", "limits.max_connections"},
  {R"({"max_connections":-1})", "limits.max_connections"},
  {R"({"requests":5})", "limits.requests"},
  {R"({"requests":{}})", "limits.requests.rate"},
  {R"({"requests":{"rate":null}})", "limits.requests.rate"},
  {R"({"requests":{"rate":0}})", "limits.requests.rate"},
  {R"({"requests":{"rate":1000000001}})", "limits.requests.rate"},
  {R"({"bytes":{"rate":100000000001}})", "limits.bytes.rate"},
  {R"({"requests":{"rate":1.5}})", "limits.requests.rate"},
  {R"({"requests":{"rate":1,"interval":0}})", "limits.requests.interval"},
  {R"({"requests":{"rate":1,"interval":86401}})", "limits.requests.interval"},
  {R"({"connections":{"rate":1,"burst":0}})", "limits.connections.burst"},
  {R"({"connections":{"rate":1,"burst":2592001}})", "limits.connections.burst"},
  {R"({"connections":{"rate":1,"interval":86400,"burst":31}})", "limits.connections.burst"},
  {R"({"requests":{"rate":1,"brust":1}})", "limits.requests.brust"},
  {R"({"packets":{"rate":0}})", "limits.packets.rate"},
  {R"({"frames":{"rate":1}})", "limits.frames"},
};

TEST(limits_input, refuses_bad_fields_by_name) {
  for (const auto& one : bad_cases) {
    SCOPED_TRACE(one.given);
    const auto got = with(one.given);
    ASSERT_FALSE(got);
    ASSERT_EQ(got.error().fields.size(), 1U) << to_string(got.error());
    EXPECT_EQ(got.error().fields.front().field, one.field);
  }
}

} // namespace
} // namespace marchproxy::model

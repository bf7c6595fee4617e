// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/audit/redact.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace marchproxy::audit {
namespace {

using nlohmann::json;

TEST(redact, knows_the_names_of_secrets_in_any_spelling) {
  for (const auto* name :
       {"password",       "Password",   "new_password",  "passwd",      "token",
        "accessToken",    "X-API-Key",  "api_key",       "apiKey",      "key",
        "client_secret",  "jwt_secret", "verifier",      "private_key", "PRIVATE-KEY",
        "token_base64",   "csrf",       "totp",          "cookie",      "authorization",
        "recovery_codes", "seed",       "password_hash", "credentials", "passphrase"})
    EXPECT_TRUE(names_a_secret(name)) << name;
  for (const auto* name : {"name", "id", "ports", "auth_type", "auth_required", "public_key",
                           "nkey", "key_id", "priority", "comment", "ruleset_hash", "address", ""})
    EXPECT_FALSE(names_a_secret(name)) << name;
}

TEST(redact, replaces_secrets_at_any_depth_and_keeps_the_rest) {
  const auto value = json::parse(R"({
    "name": "web", "password": "hunter2", "must_change_password": true, "token": null,
    "list": [{"secret": "s"}, {"deep": {"er": {"api_key": ["a", "b"], "port": 80}}}],
    "keys": {"a": 1}, "pin_token": 1234})");
  const auto expected = json::parse(R"({
    "name": "web", "password": "[redacted]", "must_change_password": true, "token": null,
    "list": [{"secret": "[redacted]"}, {"deep": {"er": {"api_key": "[redacted]", "port": 80}}}],
    "keys": "[redacted]", "pin_token": "[redacted]"})");
  EXPECT_EQ(redact(value), expected);
  EXPECT_EQ(redact(redact(value)), expected);
}

TEST(redact, finds_keys_under_harmless_names) {
  const json value{{"comment", "-----BEGIN EC PRIVATE KEY-----\nabc"},
                   {"note", "mpa_" + std::string(43, 'A')},
                   {"text", "mpa_ is our prefix"}};
  const auto out = redact(value);
  EXPECT_EQ(out["comment"], "[redacted]");
  EXPECT_EQ(out["note"], "[redacted]");
  EXPECT_EQ(out["text"], "mpa_ is our prefix");
}

TEST(redact, writes_one_text_for_one_value) {
  EXPECT_EQ(redacted_text(json::parse(R"({ "b" : 1, "a" : [ 1, "ü" ] })")),
            R"({"a":[1,"ü"],"b":1})");
  EXPECT_EQ(redacted_text(json{{"name", "a\xff"}}), "{\"name\":\"a\xef\xbf\xbd\"}");
  EXPECT_EQ(redacted_text(json(nullptr)), "");
}

} // namespace
} // namespace marchproxy::audit

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/identity/proxy_authorization.hpp"

#include "actors/crypto/encoding.hpp"

#include <gtest/gtest.h>

namespace marchproxy::identity {
namespace {

TEST(proxy_authorization, reads_bearer_and_basic) {
  const auto basic = [](std::string_view text) { return "Basic " + crypto::to_base64(text); };
  const std::pair<std::string, presented> good[] = {
    {"Bearer abc", {"", "abc"}},
    {"bearer abc", {"", "abc"}},
    {"BEARER   abc", {"", "abc"}},
    {"Bearer abc  ", {"", "abc"}},
    {"Bearer a.b.c", {"", "a.b.c"}},
    {"Bearer YWJj+/==", {"", "YWJj+/=="}},
    {basic("web:token"), {"web", "token"}},
    {basic("web:to:ken"), {"web", "to:ken"}},
    {"basic " + crypto::to_base64("web.1:t"), {"web.1", "t"}},
  };
  for (const auto& [header, expected] : good) {
    const auto got = parse_proxy_authorization(header);
    ASSERT_TRUE(got) << header << to_string(got.error());
    EXPECT_EQ(*got, expected) << header;
  }
}

TEST(proxy_authorization, refuses_everything_else) {
  const auto basic = [](std::string_view text) { return "Basic " + crypto::to_base64(text); };
  const std::string bad[] = {
    "",
    " ",
    "Bearer",
    "Bearer ",
    "Bearer a b",
    "Bearer a\x01",
    "Bearer \xc3\xbc",
    "Bearer\tabc",
    " Bearer abc",
    "Digest abc",
    "Basic",
    "Basic !!!!",
    "Basic d2ViOnQ", // no padding
    basic(""),
    basic("web"),
    basic(":token"),
    basic("web:"),
    basic("w b:token"),
    basic("web:to ken"),
    basic(std::string_view{"web:t\0k", 7}),
    "Bearer " + std::string(13 * 1024, 'a'),
  };
  for (const auto& header : bad) {
    const auto got = parse_proxy_authorization(header);
    ASSERT_FALSE(got) << header;
    EXPECT_EQ(got.error().code, errc::unauthenticated);
  }
}

} // namespace
} // namespace marchproxy::identity

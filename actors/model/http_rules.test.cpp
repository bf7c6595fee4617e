// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/http_rules.hpp"

#include <gtest/gtest.h>

namespace marchproxy::model {
namespace {

TEST(http_rules, dot_segments_are_found_in_every_spelling) {
  for (const auto* path : {"/.", "/..", "/a/../b", "/a/./b", "/%2e", "/%2E%2e/x", "/.%2e",
                           "/a/%2e.", "..", "/a/..;x/.."})
    EXPECT_TRUE(has_dot_segment(path)) << path;
  for (const auto* path : {"", "/", "/a", "/.a", "/a.", "/...", "/..a/b", "/a/..b", "/%2ea",
                           "/%2f..%2f", "/a//b", "/%2", "/%"})
    EXPECT_FALSE(has_dot_segment(path)) << path;
}

TEST(http_rules, route_paths) {
  for (const auto* path : {"/", "/a", "/a/", "/a/b.c", "/a%20b", "/~x/y;z=1"})
    EXPECT_TRUE(is_route_path(path)) << path;
  for (const auto* path :
       {"", "a", "/a?b", "/a#b", "/a b", "//", "/a//b", "/a/../b", "/\x01", "/ü"})
    EXPECT_FALSE(is_route_path(path)) << path;
  EXPECT_FALSE(is_route_path("/" + std::string(255, 'a')));
}

TEST(http_rules, locations) {
  for (const auto* text : {"/", "/a?b=c", "https://example.org", "http://a/b", "https://a{path}"})
    EXPECT_TRUE(is_location(text)) << text;
  for (const auto* text : {"", "a", "//evil.example", "/\\evil.example", "http://", "https:///x",
                           "javascript:alert(1)", "ftp://a", "/a b", "/a\r\nb"})
    EXPECT_FALSE(is_location(text)) << text;
}

TEST(http_rules, headers_that_a_route_may_change) {
  for (const auto* name : {"x-a", "authorization", "x_b", "cookie", "a"})
    EXPECT_TRUE(is_changeable_header(name)) << name;
  for (const auto* name : {"", "Host", "host", "content-length", "transfer-encoding", "connection",
                           "te", "upgrade", "a b", "a:", "ü", "proxy-authorization"})
    EXPECT_FALSE(is_changeable_header(name)) << name;
  EXPECT_TRUE(is_header_value(""));
  EXPECT_TRUE(is_header_value("a b"));
  for (const auto* value : {" a", "a ", "a\r\nb", "a\tb", "ü"})
    EXPECT_FALSE(is_header_value(value)) << value;
}

} // namespace
} // namespace marchproxy::model

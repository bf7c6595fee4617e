// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/routing/rewrite.hpp"

#include <gtest/gtest.h>

namespace marchproxy::routing {
namespace {

struct one_case {
  const char* path;
  bool strip;
  const char* add;
  const char* target;
  const char* wanted;
};

constexpr one_case cases[] = {
  {"/", false, "", "/", "/"},
  {"/", true, "", "/a?b", "/a?b"},
  {"/", true, "/v2", "/a", "/v2/a"},
  {"/api", false, "", "/api/x?y=1", "/api/x?y=1"},
  {"/api", true, "", "/api/x?y=1", "/x?y=1"},
  {"/api", true, "", "/api", "/"},
  {"/api", true, "", "/api/", "/"},
  {"/api", true, "", "/api?y=1", "/?y=1"},
  {"/api", true, "/v2", "/api/x", "/v2/x"},
  {"/api", true, "/v2", "/api", "/v2/"},
  {"/api", false, "/v2", "/api/x", "/v2/api/x"},
};

TEST(rewrite, takes_the_prefix_off_and_puts_one_before) {
  for (const auto& one : cases) {
    model::ingress_route route;
    route.path = one.path;
    route.strip_prefix = one.strip;
    route.add_prefix = one.add;
    EXPECT_EQ(rewrite_target(route, one.target), one.wanted) << one.path << " " << one.target;
  }
}

TEST(rewrite, locations_carry_the_path) {
  EXPECT_EQ(location_of({308, "https://a.example{path}"}, "/x?y"), "https://a.example/x?y");
  EXPECT_EQ(location_of({301, "/new"}, "/x"), "/new");
  EXPECT_EQ(location_of({301, "/new{path}{path}"}, "/x"), "/new/x{path}") << "the first counts";
}

} // namespace
} // namespace marchproxy::routing

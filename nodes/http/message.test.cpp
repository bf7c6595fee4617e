// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/http/message.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace marchproxy::http {
namespace {

using pairs = std::vector<std::pair<std::string, std::string>>;

TEST(message, a_query_is_taken_apart_and_decoded) {
  EXPECT_EQ(parse_query("a=1&b=x%20y+z&c&&d="),
            (pairs{{"a", "1"}, {"b", "x y z"}, {"c", ""}, {"d", ""}}));
  EXPECT_EQ(parse_query(""), pairs{});
}

TEST(message, broken_escapes_are_dropped_and_never_guessed) {
  EXPECT_EQ(parse_query("a=%zz&b=%4&c=%00&d=ok"), (pairs{{"d", "ok"}}));
  EXPECT_FALSE(percent_decode("%", false));
  EXPECT_FALSE(percent_decode("%2", false));
}

TEST(message, a_plus_is_a_space_in_queries_only) {
  EXPECT_EQ(percent_decode("a+b", false), "a+b");
  EXPECT_EQ(percent_decode("a+b", true), "a b");
}

TEST(message, encoding_survives_decoding) {
  std::string every;
  for (int c = 1; c < 256; ++c)
    every += static_cast<char>(c);
  EXPECT_EQ(percent_decode(percent_encode(every), false), every);
  EXPECT_EQ(percent_encode("a/b?c"), "a%2Fb%3Fc");
}

} // namespace
} // namespace marchproxy::http

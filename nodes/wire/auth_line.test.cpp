// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/auth_line.hpp"

#include <gtest/gtest.h>

#include <string>

namespace marchproxy::wire::auth_line {
namespace {

const std::string longest_token(max_token, 't');
const std::string longest_service(max_service, 's');

TEST(auth_line, is_service_and_token) {
  for (const std::string end : {"\n", "\r\n"}) {
    const auto line = "7:t0ken==" + end;
    const auto more = line + "GET /";
    auto got = parse_answer(more);
    ASSERT_EQ(got.state, parse_state::complete);
    EXPECT_EQ(got.consumed, line.size());
    EXPECT_EQ(got.value.service, "7");
    EXPECT_EQ(got.value.token, "t0ken==");
    for (std::size_t shown = 0; shown < line.size(); ++shown)
      EXPECT_EQ(parse_answer(line.substr(0, shown)).state, parse_state::need_more) << shown;
  }
  auto named = parse_answer("a.b_c-D:eyJ.e:30.x\n");
  EXPECT_EQ(named.value.service, "a.b_c-D");
  EXPECT_EQ(named.value.token, "eyJ.e:30.x");
}

TEST(auth_line, has_bounds) {
  const auto line = longest_service + ":" + longest_token + "\n";
  EXPECT_EQ(parse_answer(line).state, parse_state::complete);
  EXPECT_EQ(parse_answer("s" + longest_service).state, parse_state::error);
  EXPECT_EQ(parse_answer("s" + line).state, parse_state::error);
  EXPECT_EQ(parse_answer("7:" + longest_token + "t").state, parse_state::error);
}

TEST(auth_line, of_any_other_form_is_wrong_at_once) {
  for (const std::string line :
       {"\n", ":t\n", "7:\n", "7:\r\n", "7\n", "7 :t\n", " 7:t\n", "7: t\n", "7:t \n", "7:t\rx",
        "7:\tt\n", "7:t\x80\n", "\x16\x03\x01", "GET / HTTP/1.1\r\n", "a/b:c\n"})
    EXPECT_EQ(parse_answer(line).state, parse_state::error) << line;
  EXPECT_EQ(parse_answer({"7:t\0\n", 5}).state, parse_state::error);
}

} // namespace
} // namespace marchproxy::wire::auth_line

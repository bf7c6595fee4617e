// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/arguments.hpp"

#include "nodes/cli/resource.hpp"

#include <gtest/gtest.h>

namespace marchproxy::cli {
namespace {

using nlohmann::json;

TEST(arguments, options_may_stand_anywhere_and_win_over_the_environment) {
  const auto got = parse_arguments({"ctl", "--json", "services", "--set", "a=1", "list",
                                    "--cluster=eu", "--url", "http://x", "--set=b=2"},
                                   {{"MANAGER_URL", "http://env"}, {"MARCHPROXY_API_KEY", "k"}});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->words, (std::vector<std::string>{"ctl", "services", "list"}));
  EXPECT_EQ(got->settings, (std::vector<std::string>{"a=1", "b=2"}));
  EXPECT_EQ(got->url, "http://x");
  EXPECT_EQ(got->api_key, "k");
  EXPECT_EQ(got->option("cluster"), "eu");
  EXPECT_TRUE(got->json);
}

TEST(arguments, without_a_word_of_it_the_manager_is_on_this_host) {
  EXPECT_EQ(parse_arguments({}, {})->url, "http://127.0.0.1:8000");
  EXPECT_EQ(parse_arguments({}, {{"MANAGER_URL", "http://env"}})->url, "http://env");
}

TEST(arguments, what_is_unknown_or_incomplete_is_refused) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--nonsense"},
                                                {"-x"},
                                                {"--cluster"},
                                                {"--timeout", "soon"},
                                                {"--json=yes"}})
    EXPECT_FALSE(parse_arguments(words, {})) << words.front();
}

TEST(arguments, settings_are_json_where_they_can_be) {
  const auto body =
    make_body(R"({"name":"web","priority":1})",
              {"priority=5", "active=false", "comment=hello world", "ports=[80,443]",
               "health_check.path=/up", "health_check.interval=3", "name=\"007\""});
  ASSERT_TRUE(body);
  EXPECT_EQ(*body, (json{{"name", "007"},
                         {"priority", 5},
                         {"active", false},
                         {"comment", "hello world"},
                         {"ports", {80, 443}},
                         {"health_check", {{"path", "/up"}, {"interval", 3}}}}));
}

TEST(arguments, bad_settings_and_files_are_refused) {
  EXPECT_FALSE(make_body("", {"novalue"}));
  EXPECT_FALSE(make_body("", {"=x"}));
  EXPECT_FALSE(make_body("[1]", {}));
  EXPECT_FALSE(make_body("{", {}));
}

result<planned> plan_of(const std::vector<std::string>& words) {
  return plan(*parse_arguments(words, {}), "");
}

TEST(plan, makes_the_request_that_the_words_mean) {
  auto got = plan_of({"ctl", "mappings", "update", "9", "--cluster", "my eu", "--set", "priority=3",
                      "--wait", "20", "--if-match", "\"4\""});
  ASSERT_TRUE(got) << to_string(got.error());
  EXPECT_EQ(got->request.method, "PATCH");
  EXPECT_EQ(got->request.path, "/api/v1/clusters/my%20eu/mappings/9?wait=20");
  EXPECT_EQ(got->request.body, R"({"priority":3})");
  EXPECT_EQ(got->request.if_match, "\"4\"");
}

TEST(plan, says_what_is_missing) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
    {{"ctl"}, "resource"},
    {{"ctl", "planets", "list"}, "planets"},
    {{"ctl", "proxies", "create"}, "create"},
    {{"ctl", "services", "list"}, "--cluster"},
    {{"ctl", "credentials", "list", "--cluster", "eu"}, "--service"},
    {{"ctl", "clusters", "get"}, "id"},
    {{"ctl", "clusters", "list", "eu"}, "eu"},
    {{"ctl", "clusters", "delete", "eu", "--set", "a=1"}, "--set"},
  };
  for (const auto& [words, mentions] : cases) {
    const auto got = plan_of(words);
    ASSERT_FALSE(got) << mentions;
    EXPECT_NE(got.error().message.find(mentions), std::string::npos) << got.error().message;
  }
}

} // namespace
} // namespace marchproxy::cli

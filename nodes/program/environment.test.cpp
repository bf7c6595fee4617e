// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/program/environment.hpp"

#include <gtest/gtest.h>

namespace marchproxy::program {
namespace {

TEST(environment, what_is_unset_or_empty_leaves_the_default) {
  const variables all{{"TEXT", ""}, {"LIST", ""}, {"PORT", ""}, {"SECRET", ""}};
  environment env{all};
  std::string text = "default";
  std::vector<std::string> list{"a", "b"};
  std::uint16_t port = 80;
  crypto::secret secret{"kept"};
  env.text("TEXT", text);
  env.text("UNSET", text);
  env.list("LIST", list);
  env.port("PORT", port);
  env.secret("SECRET", secret);
  EXPECT_EQ(text, "default");
  EXPECT_EQ(list.size(), 2U);
  EXPECT_EQ(port, 80);
  EXPECT_EQ(secret.expose(), "kept");
  EXPECT_TRUE(env.check());
}

TEST(environment, lists_replace_the_default_and_skip_empty_items) {
  const variables all{{"LIST", ",c,,d,"}};
  std::vector<std::string> list{"a"};
  environment{all}.list("LIST", list);
  EXPECT_EQ(list, (std::vector<std::string>{"c", "d"}));
}

TEST(environment, every_wrong_variable_is_named_and_changes_nothing) {
  const variables all{{"HIGH", "257"},   {"SIGNED", "-1"}, {"TAIL", "1x"},
                      {"PORT", "70000"}, {"ADDRESS", "x"}, {"LOG_LEVEL", "loud"}};
  environment env{all};
  unsigned number = 7;
  std::uint16_t port = 80;
  std::string address = "0.0.0.0";
  std::string level = "info";
  for (const auto* name : {"HIGH", "SIGNED", "TAIL"})
    env.number<unsigned>(name, number, 256);
  env.port("PORT", port);
  env.address("ADDRESS", address);
  env.log_level(level);
  EXPECT_EQ(number, 7U);
  EXPECT_EQ(port, 80);
  const auto checked = env.check();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().fields.size(), 6U);
}

} // namespace
} // namespace marchproxy::program

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/identity/tokens.hpp"

#include "actors/crypto/digest.hpp"

#include <gtest/gtest.h>

#include <set>

namespace marchproxy::identity {
namespace {

TEST(tokens, are_random_and_stored_by_hash_only) {
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    const auto key = mint_api_key();
    const std::string text{key.text.expose()};
    EXPECT_TRUE(looks_like_api_key(text)) << text;
    EXPECT_EQ(text.size(), 47U);
    EXPECT_EQ(key.hash, crypto::sha256_hex(text));
    EXPECT_EQ(key.hash, token_hash(text));
    EXPECT_TRUE(seen.insert(text).second);
    EXPECT_EQ(mint_token().text.size(), 43U);
  }
  const std::string good = "mpa_" + std::string(43, 'A');
  EXPECT_TRUE(looks_like_api_key(good));
  for (const auto& bad : {std::string{}, good + "A", good.substr(1), "mpb_" + std::string(43, 'A'),
                          "mpa_" + std::string(42, 'A') + "=", "mpa_" + std::string(42, 'A') + " "})
    EXPECT_FALSE(looks_like_api_key(bad)) << bad;
}

TEST(passwords, are_long_texts_that_are_not_the_name) {
  const auto ok = [](std::string_view text, std::string_view name = "alice") {
    return check_new_password(crypto::secret{text}, name, "password").has_value();
  };
  EXPECT_TRUE(ok("correct horse battery"));
  EXPECT_TRUE(ok("twelve chars"));
  EXPECT_TRUE(ok("ünïcödé-påss"));
  EXPECT_TRUE(ok(std::string(128, 'a') + std::string(128, 'b')));
  EXPECT_FALSE(ok("eleven char"));
  EXPECT_FALSE(ok("üüüüüü-e")); // 14 bytes, 8 characters
  EXPECT_FALSE(ok(""));
  EXPECT_FALSE(ok("aaaaaaaaaaaaaaaa"));
  EXPECT_FALSE(ok("my-ALICE-password"));
  EXPECT_TRUE(ok("my-ALICE-password", ""));
  EXPECT_FALSE(ok("line\nbreak-in-it"));
  EXPECT_FALSE(ok("not-utf8-\xff-text"));
  EXPECT_FALSE(ok(std::string(257, 'a') + "b"));
  EXPECT_EQ(check_new_password(crypto::secret{"x"}, "a", "new_password").error().fields.at(0).field,
            "new_password");
}

} // namespace
} // namespace marchproxy::identity

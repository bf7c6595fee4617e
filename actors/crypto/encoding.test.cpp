// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/encoding.hpp"

#include "actors/crypto/equal.hpp"
#include "actors/crypto/random.hpp"

#include <gtest/gtest.h>

namespace {

using namespace marchproxy::crypto;

TEST(encoding, base64_matches_rfc_4648_section_10) {
  EXPECT_EQ(to_base64(""), "");
  EXPECT_EQ(to_base64("f"), "Zg==");
  EXPECT_EQ(to_base64("fo"), "Zm8=");
  EXPECT_EQ(to_base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(from_base64("Zm8="), "fo");
  EXPECT_EQ(from_base64("Zm9vYg=="), "foob");
}

TEST(encoding, base64_accepts_one_text_per_value) {
  for (const auto* text :
       {"Zg", "Zg=", "Zg===", "Zh==", "Z===", "====", "Zm9=v", "Zm8 ", "Zm8=\n", "Z-8="})
    EXPECT_FALSE(from_base64(text)) << text;
  EXPECT_EQ(from_base64(""), "");
}

TEST(encoding, base64url_has_no_padding_and_its_own_digits) {
  EXPECT_EQ(to_base64url("\xFB\xFF\xFE"), "-__-");
  EXPECT_EQ(to_base64url("f"), "Zg");
  EXPECT_EQ(from_base64url("-__-"), "\xFB\xFF\xFE");
  for (const auto* text : {"Zg==", "Zh", "Z", "+//+", "Zm9vY"})
    EXPECT_FALSE(from_base64url(text)) << text;
}

TEST(encoding, base32_matches_rfc_4648_without_padding) {
  EXPECT_EQ(to_base32("foobar"), "MZXW6YTBOI");
  EXPECT_EQ(from_base32("MZXW6YTBOI"), "foobar");
  EXPECT_EQ(from_base32("MZXQ"), "fo");
  for (const auto* text : {"MZXR", "mzxq", "MZX", "M", "MZXQ====", "MZX1"})
    EXPECT_FALSE(from_base32(text)) << text;
}

TEST(encoding, hex_takes_both_cases_and_whole_bytes) {
  EXPECT_EQ(to_hex(std::string_view{"\x00\xAB\xFF", 3}), "00abff");
  EXPECT_EQ(from_hex("00aBFf"), (std::string{"\x00\xAB\xFF", 3}));
  EXPECT_FALSE(from_hex("0"));
  EXPECT_FALSE(from_hex("0g"));
}

TEST(encoding, random_bytes_survive_every_encoding) {
  for (std::size_t size = 0; size < 70; ++size) {
    const auto bytes = random_bytes(size);
    EXPECT_EQ(from_hex(to_hex(bytes)), bytes);
    EXPECT_EQ(from_base32(to_base32(bytes)), bytes);
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    EXPECT_EQ(from_base64url(to_base64url(bytes)), bytes);
  }
}

TEST(random, tokens_differ_and_carry_the_entropy_asked_for) {
  const auto a = random_token(32);
  EXPECT_EQ(a.size(), 43U);
  EXPECT_NE(a, random_token(32));
}

TEST(equal, compares_whole_byte_strings) {
  EXPECT_TRUE(equal("", ""));
  EXPECT_TRUE(equal("token", "token"));
  EXPECT_FALSE(equal("token", "tokem"));
  EXPECT_FALSE(equal("token", "toke"));
}

} // namespace

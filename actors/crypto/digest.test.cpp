// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/digest.hpp"

#include <gtest/gtest.h>

namespace {

using namespace marchproxy::crypto;

TEST(digest, sha256_matches_fips_180_4) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(digest, pieces_hash_like_the_whole_and_the_hasher_starts_anew) {
  sha256_hasher hasher;
  const auto first = hasher.update("a").update("").update("bc").finish();
  EXPECT_EQ(first, sha256("abc"));
  EXPECT_EQ(hasher.finish(), sha256(""));
}

TEST(digest, hmac_matches_rfc_4231_case_2) {
  EXPECT_EQ(to_hex(view(hmac_sha256("Jefe", "what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

struct hkdf_vector {
  const char* key;
  const char* salt;
  const char* info;
  const char* output;
};

// RFC 5869 appendix A, cases 1 and 3.
constexpr hkdf_vector hkdf_vectors[] = {
  {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
   "f0f1f2f3f4f5f6f7f8f9",
   "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
  {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
   "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
};

TEST(digest, hkdf_matches_rfc_5869) {
  for (const auto& v : hkdf_vectors) {
    const auto out =
      hkdf_sha256(secret{*from_hex(v.key)}, *from_hex(v.salt), *from_hex(v.info), 42);
    EXPECT_EQ(to_hex(out.expose()), v.output);
  }
}

} // namespace

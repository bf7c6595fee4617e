// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/ed25519.hpp"

#include "actors/crypto/digest.hpp"

#include <gtest/gtest.h>

namespace {

using namespace marchproxy::crypto;

struct signing_vector {
  const char* seed;
  const char* public_key;
  const char* message;
  const char* signature;
};

// RFC 8032 section 7.1, tests 1 to 3.
constexpr signing_vector vectors[] = {
  {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
   "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
   "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46"
   "b"
   "d25bf5f0595bbe24655141438e7a100b"},
  {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
   "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
   "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8"
   "c"
   "387b2eaeb4302aeeb00d291612bb0c00"},
  {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
   "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
   "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc65"
   "9"
   "4a7c15e9716ed28dc027beceea1ec40a"},
};

TEST(ed25519, signs_and_verifies_the_vectors_of_rfc_8032) {
  for (const auto& v : vectors) {
    const auto key = ed25519_key::from_seed(secret{*from_hex(v.seed)});
    ASSERT_TRUE(key);
    EXPECT_EQ(to_hex(view(key->public_key())), v.public_key);
    const auto message = *from_hex(v.message);
    EXPECT_EQ(to_hex(view(key->sign(message))), v.signature);
    EXPECT_TRUE(ed25519_verify(key->public_key(), message, *from_hex(v.signature)));
  }
}

TEST(ed25519, refuses_an_altered_message_signature_or_key) {
  const auto key = ed25519_key::generate();
  auto signature = key.sign("revision 7");
  EXPECT_TRUE(ed25519_verify(key.public_key(), "revision 7", view(signature)));
  EXPECT_FALSE(ed25519_verify(key.public_key(), "revision 8", view(signature)));
  EXPECT_FALSE(ed25519_verify(ed25519_key::generate().public_key(), "revision 7", view(signature)));
  EXPECT_FALSE(ed25519_verify(key.public_key(), "revision 7", view(signature).substr(1)));
  signature[10] ^= 1;
  EXPECT_FALSE(ed25519_verify(key.public_key(), "revision 7", view(signature)));
}

TEST(ed25519, derivation_gives_one_key_per_secret_salt_and_purpose) {
  const secret from{"0123456789abcdef0123456789abcdef"};
  const auto key = ed25519_key::derive(from, "cluster-a", "join");
  EXPECT_EQ(key.public_key(), ed25519_key::derive(from, "cluster-a", "join").public_key());
  EXPECT_NE(key.public_key(), ed25519_key::derive(from, "cluster-b", "join").public_key());
  EXPECT_NE(key.public_key(), ed25519_key::derive(from, "cluster-a", "sign").public_key());
}

TEST(ed25519, a_seed_of_another_length_is_an_error) {
  EXPECT_FALSE(ed25519_key::from_seed(secret{"short"}));
  EXPECT_FALSE(ed25519_key::from_seed(secret{std::string(33, 'x')}));
}

} // namespace

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/seal.hpp"

#include "actors/crypto/password.hpp"

#include <gtest/gtest.h>

#include <type_traits>

namespace {

using namespace marchproxy;
using namespace marchproxy::crypto;

template <class T>
concept streamable = requires(std::ostream& out, const T& value) {
  out << value;
};
static_assert(!streamable<secret>, "a secret must not be printable");
static_assert(!std::is_convertible_v<secret, std::string_view>);

TEST(secret, exposes_its_bytes_only_when_asked_and_empties_what_it_takes) {
  std::string source = "the key";
  const auto taken = secret::take(source);
  EXPECT_TRUE(source.empty());
  EXPECT_EQ(taken.expose(), "the key");
  secret copy;
  copy = taken;
  EXPECT_EQ(copy.expose(), taken.expose());
}

TEST(seal, opens_to_the_plaintext_for_the_same_key_and_place) {
  const auto key = sealing_key::generate();
  for (const auto* text : {"", "x", "a longer secret with many bytes in it, more than one block"}) {
    const auto opened = open(key, seal(key, text, "table/row/column"), "table/row/column");
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->expose(), text);
  }
}

TEST(seal, two_seals_of_one_plaintext_differ) {
  const auto key = sealing_key::generate();
  EXPECT_NE(seal(key, "same", "place"), seal(key, "same", "place"));
}

TEST(seal, another_key_place_or_any_changed_byte_is_corrupt) {
  const auto key = sealing_key::generate();
  const auto sealed = seal(key, "secret", "row 1");
  EXPECT_EQ(open(key, sealed, "row 2").error().code, errc::corrupt);
  EXPECT_EQ(open(sealing_key::generate(), sealed, "row 1").error().code, errc::corrupt);
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto altered = sealed;
    altered[i] = static_cast<char>(altered[i] ^ 1);
    EXPECT_FALSE(open(key, altered, "row 1")) << i;
    EXPECT_FALSE(open(key, sealed.substr(0, i), "row 1")) << i;
  }
}

TEST(seal, a_key_has_32_bytes) {
  EXPECT_FALSE(sealing_key::from_bytes(secret{"short"}));
  const auto key = sealing_key::generate();
  const auto again = sealing_key::from_bytes(key.bytes());
  ASSERT_TRUE(again);
  EXPECT_TRUE(open(*again, seal(key, "x", ""), ""));
}

TEST(password, verifies_the_password_it_was_made_of_and_no_other) {
  const auto hash = hash_password(secret{"correct horse"});
  ASSERT_TRUE(hash);
  EXPECT_TRUE(hash->starts_with("$argon2id$"));
  EXPECT_TRUE(verify_password(*hash, secret{"correct horse"}));
  EXPECT_FALSE(verify_password(*hash, secret{"correct horsf"}));
  EXPECT_NE(*hash, *hash_password(secret{"correct horse"}));
}

TEST(password, nothing_matches_a_hash_that_is_none) {
  for (const auto* hash : {"", "$argon2id$", "plain", "$2y$10$abcdefghijklmnopqrstuv"})
    EXPECT_FALSE(verify_password(hash, secret{""})) << hash;
}

} // namespace

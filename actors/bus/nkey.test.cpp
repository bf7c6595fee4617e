// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/nkey.hpp"

#include "actors/bus/jwt.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace {

using namespace marchproxy;
using namespace marchproxy::bus;

TEST(nkey, the_first_letter_of_a_public_key_tells_its_kind) {
  EXPECT_EQ(nkey::generate(nkey_kind::deployment).public_key().front(), 'O');
  EXPECT_EQ(nkey::generate(nkey_kind::account).public_key().front(), 'A');
  EXPECT_EQ(nkey::generate(nkey_kind::user).public_key().front(), 'U');
  EXPECT_EQ(nkey::generate(nkey_kind::user).public_key().size(), 56U);
}

TEST(nkey, a_published_seed_has_its_published_key) {
  // github.com/nats-io/nats.c, test credentials
  const auto key =
    nkey::from_seed(crypto::secret{"SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY"});
  ASSERT_TRUE(key);
  EXPECT_EQ(key->kind(), nkey_kind::user);
  EXPECT_TRUE(parse_public_nkey(nkey_kind::user, key->public_key()));
  EXPECT_EQ(key->seed().expose(), "SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY");
}

TEST(nkey, a_seed_survives_its_text_form) {
  for (const auto kind : {nkey_kind::deployment, nkey_kind::account, nkey_kind::user}) {
    const auto key = nkey::generate(kind);
    const auto again = nkey::from_seed(key.seed());
    ASSERT_TRUE(again);
    EXPECT_EQ(again->public_key(), key.public_key());
    EXPECT_EQ(again->kind(), kind);
  }
}

TEST(nkey, a_mistyped_or_misplaced_key_is_refused) {
  auto text = nkey::generate(nkey_kind::user).public_key();
  EXPECT_TRUE(parse_public_nkey(nkey_kind::user, text));
  EXPECT_FALSE(parse_public_nkey(nkey_kind::account, text));
  text[20] = text[20] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(parse_public_nkey(nkey_kind::user, text));
  EXPECT_FALSE(parse_public_nkey(nkey_kind::user, ""));
  EXPECT_FALSE(nkey::from_seed(crypto::secret{text}));
  EXPECT_FALSE(nkey::from_seed(crypto::secret{"S"}));
}

TEST(jwt, says_who_until_when_and_by_whom) {
  const auto issuer = nkey::generate(nkey_kind::account);
  const auto user = nkey::generate(nkey_kind::user).public_key();
  const time_point now{std::chrono::seconds{1'800'000'000}};
  const auto text = mint_jwt(issuer, {user, "egress-1", now, now + std::chrono::hours{1}},
                             {{"type", "user"}, {"issuer_account", "AXYZ"}});
  const auto facts = read_jwt(text);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->subject.key, user);
  EXPECT_EQ(facts->subject.name, "egress-1");
  EXPECT_EQ(facts->subject.issued, now);
  EXPECT_EQ(facts->subject.expires, now + std::chrono::hours{1});
  EXPECT_EQ(facts->issuer, issuer.public_key());
  EXPECT_EQ(facts->account, "AXYZ");
}

TEST(jwt, a_changed_or_broken_one_is_corrupt) {
  const auto issuer = nkey::generate(nkey_kind::account);
  const auto text = mint_jwt(issuer, {"U", "n", time_point{}}, {{"type", "user"}});
  for (const auto i : {std::size_t{2}, text.find('.') + 10, text.size() - 5}) {
    auto changed = text;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(read_jwt(changed)) << i;
  }
  for (const auto* broken : {"", ".", "..", "a.b.c", "e30.e30.e30"})
    EXPECT_EQ(read_jwt(broken).error().code, errc::corrupt) << broken;
}

} // namespace

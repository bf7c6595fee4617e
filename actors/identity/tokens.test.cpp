// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/identity/tokens.hpp"

#include "actors/crypto/digest.hpp"
#include "actors/identity/throttle.hpp"

#include <gtest/gtest.h>

#include <set>

namespace marchproxy::identity {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const auto start = parse_time("2026-01-01T00:00:00Z").value();

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

TEST(sessions, end_when_idle_and_at_the_absolute_limit) {
  const session_limits limits{.idle = minutes{30}, .absolute = hours{2}};
  auto [stored, token, csrf] = open_session(user_id{7}, start);
  EXPECT_EQ(stored.token_hash, token_hash(token.expose()));
  EXPECT_NE(stored.token_hash, stored.csrf_hash);
  EXPECT_EQ(expires_at(stored, limits), start + minutes{30});
  EXPECT_TRUE(use(stored, start + minutes{30} - seconds{1}, limits));
  const auto late = use(stored, start + minutes{30}, limits);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, errc::unauthenticated);

  auto now = start;
  while (now + minutes{20} < start + hours{2}) {
    now += minutes{20};
    const auto used = use(stored, now, limits);
    ASSERT_TRUE(used);
    EXPECT_EQ(used->last_seen, now);
    stored = *used;
  }
  EXPECT_EQ(expires_at(stored, limits), start + hours{2});
  EXPECT_FALSE(use(stored, start + hours{2}, limits));
  EXPECT_EQ(use(stored, now - hours{1}, limits)->last_seen, now); // the clock stepped back
}

TEST(sessions, want_their_own_csrf_token) {
  const auto one = open_session(user_id{7}, start);
  const auto other = open_session(user_id{7}, start);
  EXPECT_TRUE(csrf_matches(one.stored, one.csrf.expose()));
  EXPECT_FALSE(csrf_matches(one.stored, other.csrf.expose()));
  EXPECT_FALSE(csrf_matches(one.stored, one.token.expose()));
  EXPECT_FALSE(csrf_matches(one.stored, ""));
  EXPECT_FALSE(csrf_matches(session{}, ""));
}

TEST(throttle, locks_longer_with_each_failure_up_to_a_limit) {
  const throttle_policy policy{.free_failures = 3,
                               .first_lock = seconds{10},
                               .longest_lock = seconds{60},
                               .forget_after = hours{1}};
  const int expected[] = {0, 0, 0, 0, 10, 20, 40, 60, 60};
  for (std::size_t n = 0; n < std::size(expected); ++n)
    EXPECT_EQ(lock_duration(n, policy), seconds{expected[n]}) << n;
  EXPECT_EQ(lock_duration(1'000'000'000, policy), seconds{60});

  throttle_state state;
  auto now = start;
  for (std::size_t n = 1; n < std::size(expected); ++n) {
    EXPECT_FALSE(locked_until(state, now));
    state = after_failure(state, now, policy);
    EXPECT_EQ(state.failures, n);
    const seconds lock{expected[n]};
    EXPECT_EQ(locked_until(state, now).has_value(), lock > seconds{0});
    EXPECT_FALSE(locked_until(state, now + lock));
    now += lock;
  }
}

TEST(throttle, forgets_old_failures_and_starts_anew_after_success) {
  const throttle_policy policy{.free_failures = 1, .forget_after = hours{1}};
  auto state = after_failure({}, start, policy);
  state = after_failure(state, start, policy);
  EXPECT_TRUE(locked_until(state, start));
  state = after_failure(state, start + hours{1}, policy);
  EXPECT_EQ(state.failures, 1U);
  EXPECT_FALSE(locked_until(state, start + hours{1}));
  EXPECT_EQ(after_success(), throttle_state{});
  EXPECT_GT(source_throttle.free_failures, user_throttle.free_failures);
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

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/proxy/ruleset_fetch.hpp"

#include <gtest/gtest.h>

namespace marchproxy::proxy {
namespace {

rollout::announcement of(std::uint64_t size, std::uint32_t chunks) {
  rollout::announcement out;
  out.revision.value = 7;
  out.size = size;
  out.chunks = chunks;
  return out;
}

bus::message chunk(std::string data) {
  return {"_INBOX.1", std::move(data), {}, {{"Nats-Subject", "mp.v1.cfg"}, {"Nats-Sequence", "9"}}};
}

TEST(ruleset_fetch, joins_chunks_in_their_order_however_they_come) {
  ruleset_fetch f{of(6, 3)};
  EXPECT_EQ(f.next(), 0u);
  EXPECT_EQ(f.next(), 1u);
  ASSERT_TRUE(f.take(1, chunk("cd")));
  EXPECT_EQ(f.next(), 2u);
  EXPECT_EQ(f.next(), std::nullopt);
  ASSERT_TRUE(f.take(2, chunk("ef")));
  EXPECT_FALSE(f.whole());
  ASSERT_TRUE(f.take(0, chunk("ab")));
  ASSERT_TRUE(f.whole());
  auto stored = f.join();
  EXPECT_EQ(stored.bytes, "abcdef");
  EXPECT_EQ(stored.what, of(6, 3));
  EXPECT_FALSE(f.whole()) << "joined once";
}

TEST(ruleset_fetch, refuses_more_bytes_than_were_announced) {
  ruleset_fetch f{of(5, 2)};
  EXPECT_EQ(f.next(), 0u);
  EXPECT_EQ(f.next(), 1u);
  ASSERT_TRUE(f.take(0, chunk("abc")));
  EXPECT_EQ(f.take(1, chunk("def")).error().code, errc::corrupt);
  EXPECT_FALSE(f.whole());
}

TEST(ruleset_fetch, passes_on_what_the_stream_says) {
  ruleset_fetch f{of(3, 1)};
  EXPECT_EQ(f.next(), 0u);
  auto gone = chunk("");
  gone.status = 404;
  EXPECT_EQ(f.take(0, gone).error().code, errc::not_found);
}

TEST(ruleset_fetch, fails_once_and_asks_for_nothing_more) {
  ruleset_fetch f{of(6, 3)};
  EXPECT_EQ(f.next(), 0u);
  EXPECT_EQ(f.next(), 1u);
  EXPECT_TRUE(f.give_up());
  EXPECT_FALSE(f.give_up());
  EXPECT_EQ(f.next(), std::nullopt);
  ASSERT_TRUE(f.take(0, chunk("ab"))) << "an answer that was under way";
  EXPECT_FALSE(f.whole());
}

} // namespace
} // namespace marchproxy::proxy

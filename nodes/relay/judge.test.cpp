// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/judge.hpp"

#include "nodes/relay/record_ring.hpp"
#include "nodes/relay/refusal.hpp"
#include "nodes/relay/relay_fixture.test.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::relay {
namespace {

using namespace testing;

TEST(judge, special_ranges_are_private_destinations_only_when_nothing_else_is_in_the_way) {
  rules set;
  auto client = set.service("client", "10.0.0.1/32");
  set.mapping(client, model::select_all{});
  auto snapshot = set.snapshot();
  question q{*parse_ip("10.0.0.1"), "a.test", 80, nullptr, {}};
  EXPECT_TRUE(judge_name(snapshot.get(), q).allowed());
  EXPECT_TRUE(judge_address(snapshot.get(), q, *parse_ip("192.1.2.3")).allowed());
  for (auto text : {"127.0.0.1", "10.1.1.1", "169.254.169.254", "::1", "fd00::1", "64:ff9b::7f00:1",
                    "100.64.0.1"}) {
    EXPECT_EQ(judge_address(snapshot.get(), q, *parse_ip(text)).why, reason::private_destination)
      << text;
    question bare{q.source, {}, 80, nullptr, {}};
    EXPECT_EQ(judge_address(snapshot.get(), bare, *parse_ip(text)).why, reason::private_destination)
      << text;
  }
  question stranger{*parse_ip("10.0.0.2"), "a.test", 80, nullptr, {}};
  EXPECT_EQ(judge_address(snapshot.get(), stranger, *parse_ip("127.0.0.1")).why,
            reason::implicit_deny);
  EXPECT_EQ(judge_name(nullptr, q).why, reason::no_policy);
}

TEST(refusal, is_json_whatever_the_name_and_says_what_failed) {
  for (std::size_t i = 0; i < reason_count; ++i) {
    auto why = static_cast<reason>(i);
    std::string out;
    write_refusal(out, {why, {}, mapping_id{9}, revision{3}, 1, 0, false, false}, nullptr);
    auto body = nlohmann::json::parse(out.substr(out.find("\r\n\r\n") + 4), nullptr, false);
    ASSERT_FALSE(body.is_discarded()) << out;
    EXPECT_EQ(body["reason"], to_string(why));
    EXPECT_EQ(body["request_id"], "0000000000000001");
    EXPECT_EQ(out.find("Proxy-Authenticate") != std::string::npos, status_of(why) == 407);
    (void)socks_reply_of(why);
  }
  for (auto e : {entry::connect, entry::forward, entry::socks5, entry::listener})
    EXPECT_FALSE(to_string(e).empty());
}

TEST(record_ring, keeps_order_between_two_threads_and_loses_only_when_full) {
  record_ring<int> ring{6};
  for (int i = 0; i < 8; ++i)
    EXPECT_TRUE(ring.push(int{i}));
  EXPECT_FALSE(ring.push(8));
  int got = -1;
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(ring.pop(got));
    EXPECT_EQ(got, i);
  }
  EXPECT_FALSE(ring.pop(got));
  std::thread writer{[&] {
    for (int i = 0; i < 100'000; ++i)
      while (!ring.push(int{i}))
        std::this_thread::yield();
  }};
  for (int i = 0; i < 100'000; ++i) {
    while (!ring.pop(got))
      std::this_thread::yield();
    ASSERT_EQ(got, i);
  }
  writer.join();
}

} // namespace
} // namespace marchproxy::relay

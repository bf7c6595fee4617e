// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/udp_session_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace marchproxy::relay {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

udp_session_key key_of(const std::string& address, std::uint16_t port) {
  return {.client = {*parse_ip(address), port}, .to = {}};
}

class udp_session_table_of : public ::testing::Test {
protected:
  udp_session_entry& add(const udp_session_key& key) {
    now += 1ms;
    table.insert(std::make_unique<udp_session_entry>(key), now);
    return *table.find(key);
  }
  net::clock::time_point now{};
  udp_session_table table{{.sessions = 4, .of_source = 2}, 7};
};

TEST_F(udp_session_table_of, sessions_are_found_by_both_ends) {
  auto& a = add(key_of("10.0.0.1", 1));
  auto& b = add(key_of("10.0.0.1", 2));
  auto elsewhere = key_of("10.0.0.1", 1);
  elsewhere.to = {*parse_ip("10.0.0.9"), 53};
  EXPECT_EQ(table.find(elsewhere), nullptr);
  EXPECT_EQ(table.find(a.key()), &a);
  EXPECT_EQ(table.find(b.key()), &b);
  table.erase(a);
  EXPECT_EQ(table.find(key_of("10.0.0.1", 1)), nullptr);
  EXPECT_EQ(table.size(), 1U);
}

TEST_F(udp_session_table_of, the_oldest_is_the_one_unused_for_longest_established_or_not) {
  auto& a = add(key_of("10.0.0.1", 1));
  auto& b = add(key_of("10.0.0.2", 1));
  auto& c = add(key_of("10.0.0.3", 1));
  EXPECT_EQ(table.oldest(), &a);
  table.used(a, now += 1ms);
  table.establish(a);
  EXPECT_EQ(table.oldest(), &b);
  table.used(b, now += 1ms);
  EXPECT_EQ(table.oldest(), &c);
  table.erase(c);
  EXPECT_EQ(table.oldest(), &a);
}

TEST_F(udp_session_table_of, a_source_that_has_its_share_gives_up_its_own) {
  auto& a = add(key_of("10.0.0.1", 1));
  auto& b = add(key_of("10.0.0.1", 2));
  auto& other = add(key_of("10.0.0.2", 1));
  EXPECT_TRUE(table.room_for(other.key().client.address).free);
  table.used(a, now += 1ms);
  table.establish(b); // no protection from its own source
  auto room = table.room_for(*parse_ip("10.0.0.1"));
  EXPECT_FALSE(room.free);
  EXPECT_EQ(room.instead, &b);
}

TEST_F(udp_session_table_of, an_ipv6_network_is_one_source) {
  add(key_of("2001:db8::1", 1));
  auto& b = add(key_of("2001:db8::2", 1));
  EXPECT_FALSE(table.room_for(*parse_ip("2001:db8::ffff:3")).free);
  EXPECT_TRUE(table.room_for(*parse_ip("2001:db8:0:1::1")).free);
  table.erase(b);
  EXPECT_TRUE(table.room_for(*parse_ip("2001:db8::ffff:3")).free);
}

TEST_F(udp_session_table_of, a_full_table_gives_up_what_is_not_established_and_nothing_else) {
  std::vector<udp_session_entry*> all;
  for (auto last : {"1", "2", "3", "4"})
    all.push_back(&add(key_of("10.0.0."s + last, 1)));
  auto newcomer = *parse_ip("10.0.0.5");
  table.establish(*all[0]);
  EXPECT_EQ(table.room_for(newcomer).instead, all[1]);
  for (auto* each : all)
    table.establish(*each);
  EXPECT_FALSE(table.room_for(newcomer).free);
  EXPECT_EQ(table.room_for(newcomer).instead, nullptr);
}

/// Against a list that is searched from end to end.
TEST(udp_session_table, holds_what_a_plain_list_holds) {
  struct plain {
    udp_session_key key;
    net::clock::time_point used;
  };
  std::mt19937 random{3};
  udp_session_table table{{.sessions = 50, .of_source = 10}, random()};
  std::vector<plain> model;
  net::clock::time_point now{};
  for (int step = 0; step < 20'000; ++step) {
    now += 1ms;
    auto key = key_of("10.0.0." + std::to_string(random() % 12),
                      static_cast<std::uint16_t>(1 + random() % 20));
    auto at =
      std::find_if(model.begin(), model.end(), [&](const plain& each) { return each.key == key; });
    auto* found = table.find(key);
    ASSERT_EQ(found != nullptr, at != model.end());
    if (found != nullptr && random() % 4 == 0) {
      table.erase(*found);
      model.erase(at);
    } else if (found != nullptr) {
      table.used(*found, now);
      at->used = now;
    } else {
      auto of_source = [&](const plain& each) {
        return each.key.client.address == key.client.address;
      };
      auto count = std::count_if(model.begin(), model.end(), of_source);
      auto room = table.room_for(key.client.address);
      ASSERT_EQ(room.free, count < 10 && model.size() < 50);
      if (!room.free) {
        auto victim = model.end();
        for (auto each = model.begin(); each != model.end(); ++each)
          if ((count < 10 || of_source(*each))
              && (victim == model.end() || each->used < victim->used))
            victim = each;
        ASSERT_EQ(room.instead->key(), victim->key);
        table.erase(*room.instead);
        model.erase(victim);
      }
      table.insert(std::make_unique<udp_session_entry>(key), now);
      model.push_back({key, now});
    }
    ASSERT_EQ(table.size(), model.size());
  }
}

} // namespace
} // namespace marchproxy::relay

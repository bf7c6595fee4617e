// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/worker/flow_table.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

namespace marchproxy::packet_worker {
namespace {

constexpr hash_seed seed{0x1234'5678'9abc'def0ULL, 0x0fed'cba9'8765'4321ULL};
constexpr std::uint64_t second = 1'000'000'000;

mp_flow_key key_of(std::uint32_t number) {
  mp_flow_key out{};
  out.ends.source.word[1] = 0xffff'0000ULL | static_cast<std::uint64_t>(number) << 32;
  out.ends.destination.word[1] = 0xffff'0000ULL | 0x0808'0808ULL << 32;
  out.ends.source_port = static_cast<std::uint16_t>(number % 60'000);
  out.ends.destination_port = 443;
  out.ends.protocol = 6;
  return out;
}

struct flow_table_ : testing::Test {
  flow_entry* find(std::uint32_t number) {
    auto key = key_of(number);
    return table.find(key, table.hash(key));
  }
  flow_entry* add(std::uint32_t number, std::uint64_t now) {
    auto key = key_of(number);
    return table.insert(key, table.hash(key), now);
  }
  void converse(std::uint32_t number, std::uint64_t now) {
    auto* entry = add(number, now);
    table.confirm(entry);
    table.touch(entry, now);
  }
  flow_table table{1'000, seed};
};

TEST_F(flow_table_, finds_what_was_entered_until_it_is_erased) {
  EXPECT_EQ(table.capacity(), 1'024u);
  EXPECT_EQ(find(7), nullptr);
  auto* entry = add(7, second);
  entry->flow.packets[0] = 3;
  EXPECT_EQ(find(7), entry);
  EXPECT_TRUE(table.ahead_entry(table.hash(key_of(7))));
  EXPECT_EQ(find(8), nullptr);
  EXPECT_EQ(table.size(), 1u);
  table.erase(entry);
  EXPECT_EQ(find(7), nullptr);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(add(7, second)->flow.packets[0], 0u) << "nothing of the old one is left";
}

TEST_F(flow_table_, memory_is_bounded_and_what_was_idle_longest_goes) {
  for (std::uint32_t i = 0; i < 10'000; ++i)
    add(i, i * second);
  EXPECT_EQ(table.size(), table.capacity()) << "each set has been filled";
  EXPECT_EQ(table.evicted(), 10'000 - table.capacity());
  std::size_t found = 0;
  for (std::uint32_t i = 9'500; i < 10'000; ++i)
    found += find(i) != nullptr ? 1U : 0U;
  EXPECT_GT(found, 450u) << "nearly all of the last half capacity";
  for (std::uint32_t i = 0; i < 5'000; ++i)
    EXPECT_EQ(find(i), nullptr);
}

TEST_F(flow_table_, a_flood_pushes_out_no_conversation) {
  for (std::uint32_t i = 0; i < 200; ++i)
    converse(i, second);
  for (std::uint32_t i = 1'000; i < 300'000; ++i)
    add(i, 2 * second);
  std::size_t kept = 0;
  for (std::uint32_t i = 0; i < 200; ++i)
    kept += find(i) != nullptr ? 1U : 0U;
  EXPECT_EQ(kept, 200u);
}

TEST_F(flow_table_, conversations_make_room_for_each_other) {
  for (std::uint32_t i = 0; i < 5'000; ++i)
    converse(i, i * second);
  EXPECT_EQ(table.size(), table.capacity());
  EXPECT_NE(find(4'999), nullptr);
}

TEST_F(flow_table_, confirmed_connections_count_for_who_opened_them_until_they_are_gone) {
  auto held = [&](std::uint32_t number) { return table.held_by(key_of(number).ends.source); };
  converse(7, second);
  EXPECT_EQ(held(7), 1u);
  add(8, second);
  EXPECT_EQ(held(8), 0u) << "not confirmed";
  table.erase(find(7));
  EXPECT_EQ(held(7), 0u);
  for (std::uint32_t i = 0; i < 3'000; ++i)
    converse(i, i * second);
  std::uint32_t all = 0;
  for (std::uint32_t i = 0; i < 3'000; ++i)
    all += held(i);
  EXPECT_EQ(all, table.size()) << "what made room counts no longer";
}

TEST_F(flow_table_, a_sweep_removes_what_is_over) {
  for (std::uint32_t i = 0; i < 500; ++i) {
    converse(i, second);
    find(i)->flow.last_seen = second;
    find(i)->flow.state = i % 2 == 0 ? MP_STATE_DATAGRAM : MP_STATE_ESTABLISHED;
  }
  auto sweep_all = [&](std::uint64_t now) {
    for (std::size_t i = 0; i < table.capacity() / flow_table::ways; ++i)
      table.sweep(now);
  };
  sweep_all(30 * second);
  EXPECT_EQ(table.size(), 500u);
  sweep_all(100 * second);
  EXPECT_EQ(table.size(), 250u) << "datagrams are over after 60 s";
  EXPECT_EQ(table.held_by(key_of(0).ends.source), 0u);
  EXPECT_EQ(table.held_by(key_of(1).ends.source), 1u);
  sweep_all(7'300 * second);
  EXPECT_EQ(table.size(), 0u);
}

TEST_F(flow_table_, ages_are_right_over_the_wrap_of_their_clock) {
  constexpr std::uint64_t wrap = std::uint64_t{1} << (flow_table::tick_bits + 15);
  flow_table one_set{16, seed};
  auto put = [&](std::uint32_t number, std::uint64_t now) {
    auto key = key_of(number);
    return one_set.insert(key, one_set.hash(key), now);
  };
  for (std::uint32_t i = 0; i < 16; ++i)
    put(i, wrap - 8 * second + i * second);
  put(100, wrap + 20 * second);
  EXPECT_EQ(one_set.find(key_of(0), one_set.hash(key_of(0))), nullptr);
  for (std::uint32_t i = 1; i < 16; ++i)
    EXPECT_NE(one_set.find(key_of(i), one_set.hash(key_of(i))), nullptr) << i;
}

TEST(flow_hash_, spreads_neighbouring_keys_and_depends_on_the_seed) {
  constexpr std::size_t sets = 1'024;
  std::vector<unsigned> load(sets);
  for (std::uint32_t i = 0; i < 8 * sets; ++i)
    ++load[(flow_hash(key_of(i), seed) >> 16) % sets];
  double chi = 0;
  for (auto l : load)
    chi += (l - 8.0) * (l - 8.0) / 8.0;
  EXPECT_LT(chi, 1'250.0) << "1,023 degrees of freedom: beyond 5 sigma";
  EXPECT_NE(flow_hash(key_of(1), seed), flow_hash(key_of(1), {seed[0] + 1, seed[1]}));
  EXPECT_NE(flow_hash(key_of(1), seed), flow_hash(key_of(1), {seed[0], seed[1] + 1}));
  auto ports = key_of(1);
  ports.ends.protocol = 17;
  EXPECT_NE(flow_hash(key_of(1), seed), flow_hash(ports, seed));
}

} // namespace
} // namespace marchproxy::packet_worker

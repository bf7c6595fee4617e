// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/limiting/admission.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace marchproxy::limiting {
namespace {

using namespace std::chrono_literals;

const auto t0 = clock::time_point{} + 1h;
const auto client = *parse_ip("10.0.0.1");
const auto stranger = *parse_ip("10.0.0.2");
constexpr demand connection{.connection = true, .request = false};
constexpr demand request{.connection = false, .request = true};

model::rate_limit slow(std::uint64_t burst) {
  return {1, 86'400, burst};
}

std::shared_ptr<meter> of_mapping(const model::limits& l) {
  return std::make_shared<meter>(subject{subject::kind::mapping, 7}, l, t0);
}
std::shared_ptr<meter> of_service(const model::limits& l) {
  return std::make_shared<meter>(subject{subject::kind::service, 3}, l, t0);
}

std::optional<refused> refusal(const flow_meters& m, demand d, const ip_address& from = client) {
  auto got = admission::admit(m, from, d, t0);
  return got ? std::nullopt : std::optional{got.error()};
}

TEST(admission, nothing_is_limited_without_meters) {
  const auto got = admission::admit({}, client, connection, t0);
  ASSERT_TRUE(got);
  EXPECT_FALSE(got->paced());
  EXPECT_TRUE(got->is_under({}));
}

TEST(admission, takes_of_every_limit_or_of_none) {
  const auto m = of_mapping(
    {.connections = slow(5), .max_connections = {}, .requests = {}, .packets = {}, .bytes = {}});
  const auto s = of_service(
    {.connections = slow(2), .max_connections = {}, .requests = {}, .packets = {}, .bytes = {}});
  EXPECT_FALSE(refusal({m, s}, connection));
  EXPECT_FALSE(refusal({m, s}, connection));
  const auto third = refusal({m, s}, connection);
  ASSERT_TRUE(third);
  EXPECT_EQ(third->of, s->of());
  EXPECT_EQ(third->what, limit_kind::connections);
  EXPECT_GT(third->retry_after, 23h);
  for (int i = 0; i < 3; ++i)
    EXPECT_FALSE(refusal({m, nullptr}, connection));
  const auto last = refusal({m, nullptr}, connection);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->of, m->of());
}

TEST(admission, a_request_over_a_kept_connection_is_no_new_connection) {
  const auto m = of_mapping({.connections = slow(1),
                             .max_connections = {},
                             .requests = slow(3),
                             .packets = {},
                             .bytes = {}});
  EXPECT_FALSE(refusal({m, nullptr}, {.connection = true, .request = true}));
  EXPECT_FALSE(refusal({m, nullptr}, request));
  // Refused for the connection, it has taken no request.
  EXPECT_EQ(refusal({m, nullptr}, {.connection = true, .request = true})->what,
            limit_kind::connections);
  EXPECT_FALSE(refusal({m, nullptr}, request));
  EXPECT_EQ(refusal({m, nullptr}, request)->what, limit_kind::requests);
}

TEST(admission, refused_for_the_request_it_has_taken_no_connection) {
  const auto m = of_mapping({.connections = slow(2),
                             .max_connections = {},
                             .requests = slow(1),
                             .packets = {},
                             .bytes = {}});
  EXPECT_FALSE(refusal({m, nullptr}, {.connection = true, .request = true}));
  EXPECT_EQ(refusal({m, nullptr}, {.connection = true, .request = true})->what,
            limit_kind::requests);
  EXPECT_FALSE(refusal({m, nullptr}, connection));
  EXPECT_EQ(refusal({m, nullptr}, connection)->what, limit_kind::connections);
}

TEST(admission, counts_as_open_as_long_as_it_is_there) {
  const auto m = of_mapping(
    {.connections = {}, .max_connections = 2, .requests = {}, .packets = {}, .bytes = {}});
  auto a = admission::admit({m, nullptr}, client, connection, t0);
  auto b = admission::admit({m, nullptr}, stranger, request, t0);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(refusal({m, nullptr}, connection)->what, limit_kind::max_connections);
  admission moved{std::move(*a)};
  EXPECT_TRUE(refusal({m, nullptr}, connection));
  moved = admission{};
  EXPECT_FALSE(refusal({m, nullptr}, connection));
}

TEST(admission, each_source_has_its_own_where_the_limit_says_so) {
  const auto m = of_mapping({.per = model::limit_scope::source,
                             .connections = slow(1),
                             .max_connections = {},
                             .requests = {},
                             .packets = {},
                             .bytes = {}});
  EXPECT_FALSE(refusal({m, nullptr}, connection));
  EXPECT_TRUE(refusal({m, nullptr}, connection));
  EXPECT_FALSE(refusal({m, nullptr}, connection, stranger));
  EXPECT_TRUE(refusal({m, nullptr}, connection, stranger));
}

TEST(admission, what_lives_goes_on_over_the_limit_and_counts) {
  const auto m = of_mapping(
    {.connections = slow(1), .max_connections = 1, .requests = {}, .packets = {}, .bytes = {}});
  auto a = admission::carry_on({m, nullptr}, client, t0);
  auto b = admission::carry_on({m, nullptr}, client, t0);
  EXPECT_TRUE(a.is_under({m, nullptr}));
  EXPECT_FALSE(a.is_under({}));
  a = {};
  EXPECT_EQ(refusal({m, nullptr}, connection)->what, limit_kind::max_connections);
  b = {};
  EXPECT_FALSE(refusal({m, nullptr}, connection));
}

TEST(admission, bytes_pass_as_far_as_both_limits_let_them) {
  const auto m = of_mapping(
    {.connections = {}, .max_connections = {}, .requests = {}, .packets = {}, .bytes = slow(100)});
  const auto s = of_service(
    {.connections = {}, .max_connections = {}, .requests = {}, .packets = {}, .bytes = slow(30)});
  auto both = admission::admit({m, s}, client, connection, t0);
  ASSERT_TRUE(both);
  EXPECT_TRUE(both->paced());
  EXPECT_EQ(both->take_bytes(20, t0), 20U);
  EXPECT_EQ(both->take_bytes(20, t0), 10U);
  EXPECT_EQ(both->take_bytes(20, t0), 0U);
  both->give_back_bytes(5);
  EXPECT_EQ(both->take_bytes(20, t0), 5U);
  auto one = admission::admit({m, nullptr}, client, connection, t0);
  EXPECT_EQ(one->take_bytes(1000, t0), 70U);
  EXPECT_EQ(one->take_bytes(1000, t0), 0U);
}

TEST(admission, a_datagram_passes_whole_or_not_at_all) {
  const auto m = of_mapping(
    {.connections = {}, .max_connections = {}, .requests = {}, .packets = {}, .bytes = slow(100)});
  const auto s = of_service(
    {.connections = {}, .max_connections = {}, .requests = {}, .packets = {}, .bytes = slow(50)});
  auto both = admission::admit({m, s}, client, connection, t0);
  EXPECT_TRUE(both->take_packet(40, t0));
  const auto beyond = both->take_packet(11, t0);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().of, s->of());
  EXPECT_EQ(beyond.error().what, limit_kind::bytes);
  EXPECT_TRUE(both->take_packet(10, t0));
  auto one = admission::admit({m, nullptr}, client, connection, t0);
  EXPECT_TRUE(one->take_packet(50, t0));
  EXPECT_FALSE(one->take_packet(1, t0));
}

TEST(admission, packets_are_limited_beside_their_bytes) {
  const auto m = of_mapping(
    {.connections = {}, .max_connections = {}, .requests = {}, .packets = slow(3), .bytes = {}});
  const auto s = of_service(
    {.connections = {}, .max_connections = {}, .requests = {}, .packets = {}, .bytes = slow(100)});
  auto both = admission::admit({m, s}, client, connection, t0);
  EXPECT_FALSE(admission{}.metered());
  EXPECT_TRUE(both->metered());
  EXPECT_TRUE(both->take_packet(40, t0));
  EXPECT_EQ(both->take_packet(61, t0).error().what, limit_kind::bytes);
  // That took no packet: two are left.
  EXPECT_TRUE(both->take_packet(1, t0));
  EXPECT_TRUE(both->take_packet(1, t0));
  const auto beyond = both->take_packet(1, t0);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().of, m->of());
  EXPECT_EQ(beyond.error().what, limit_kind::packets);
  EXPECT_FALSE(admission::admit({m, nullptr}, client, connection, t0)->paced());
}

TEST(admission, those_who_wait_for_bytes_take_turns) {
  const auto m = of_mapping({.connections = {},
                             .max_connections = {},
                             .requests = {},
                             .packets = {},
                             .bytes = model::rate_limit{1000, 1, 1000}});
  auto a = admission::admit({m, nullptr}, client, connection, t0);
  auto b = admission::admit({m, nullptr}, client, connection, t0);
  EXPECT_EQ(a->take_bytes(5000, t0), 1000U);
  EXPECT_EQ(a->take_bytes(4000, t0), 0U);
  const auto first = a->wait_for_bytes(t0);
  EXPECT_EQ(std::chrono::floor<std::chrono::milliseconds>(first), 10ms);
  EXPECT_EQ(b->take_bytes(4000, t0), 0U);
  EXPECT_EQ(std::chrono::floor<std::chrono::milliseconds>(b->wait_for_bytes(t0)), 20ms);
  EXPECT_EQ(a->take_bytes(4000, t0 + first), 10U);
  a->stop_waiting();
  b->stop_waiting();
  EXPECT_EQ(std::chrono::floor<std::chrono::milliseconds>(b->wait_for_bytes(t0 + first)), 10ms);
}

} // namespace
} // namespace marchproxy::limiting

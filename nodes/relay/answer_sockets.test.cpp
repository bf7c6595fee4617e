// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/answer_sockets.hpp"

#include <gtest/gtest.h>

namespace marchproxy::relay {
namespace {

TEST(answer_sockets, one_for_each_address_as_long_as_it_is_used) {
  answer_sockets sockets;
  const net::endpoint first{*parse_ip("192.0.2.1"), 53};
  const net::endpoint other{*parse_ip("2001:db8::1"), 53};
  auto a = sockets.at(first);
  if (!a && a.error().code == errc::forbidden)
    GTEST_SKIP() << to_string(a.error());
  ASSERT_TRUE(a) << to_string(a.error());
  EXPECT_EQ(net::local_endpoint((*a)->get()), first);
  EXPECT_TRUE(net::is_transparent((*a)->get()));
  EXPECT_EQ(sockets.at(first)->get(), a->get());
  auto b = sockets.at(other);
  ASSERT_TRUE(b) << to_string(b.error());
  EXPECT_EQ(net::local_endpoint((*b)->get()), other);
  EXPECT_EQ(sockets.size(), 2U);
  // Another worker's.
  answer_sockets beside;
  EXPECT_TRUE(beside.at(first));
  a->reset();
  EXPECT_EQ(sockets.size(), 1U);
}

TEST(answer_sockets, an_address_that_a_program_of_this_host_has_is_told) {
  auto taken = net::bind_udp({*parse_ip("127.0.0.1"), 0});
  ASSERT_TRUE(taken);
  answer_sockets sockets;
  auto got = sockets.at(net::local_endpoint(taken->get()));
  ASSERT_FALSE(got);
  EXPECT_TRUE(got.error().code == errc::conflict || got.error().code == errc::forbidden);
  EXPECT_EQ(sockets.size(), 0U);
}

} // namespace
} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/datagram.hpp"

#include <gtest/gtest.h>

#include <string>

namespace marchproxy::net {
namespace {

unique_fd loopback(const char* address) {
  auto fd = bind_udp({*parse_ip(address), 0});
  EXPECT_TRUE(fd) << (fd ? "" : to_string(fd.error()));
  return fd ? std::move(*fd) : unique_fd{};
}

TEST(datagram, many_go_and_come_with_one_call_each) {
  for (const auto* address : {"127.0.0.1", "::1"}) {
    auto from = loopback(address);
    auto to = loopback(address);
    datagram_writer writer;
    std::array<std::string, datagram_batch> texts;
    for (std::size_t i = 0; i < datagram_batch; ++i) {
      EXPECT_FALSE(writer.full());
      texts[i] = std::to_string(i);
      writer.add(local_endpoint(to.get()), "head ", texts[i]);
    }
    EXPECT_TRUE(writer.full());
    EXPECT_EQ(writer.send(from.get()), datagram_batch);
    datagram_reader reader;
    auto got = reader.read(to.get());
    ASSERT_EQ(got.size(), datagram_batch);
    for (std::size_t i = 0; i < datagram_batch; ++i) {
      EXPECT_EQ(got[i].bytes, "head " + std::to_string(i));
      EXPECT_EQ(got[i].from, local_endpoint(from.get()));
    }
    EXPECT_TRUE(reader.read(to.get()).empty());
  }
}

TEST(datagram, no_more_are_taken_than_asked_for) {
  auto from = loopback("127.0.0.1");
  auto to = loopback("127.0.0.1");
  datagram_writer writer;
  for (const auto* text : {"a", "b", "c", "d"})
    writer.add(local_endpoint(to.get()), {}, text);
  EXPECT_EQ(writer.send(from.get()), 4U);
  datagram_reader reader;
  EXPECT_EQ(reader.read(to.get(), 1).size(), 1U);
  auto got = reader.read(to.get(), 2);
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[1].bytes, "c");
  EXPECT_EQ(reader.read(to.get(), 1000).size(), 1U);
}

TEST(datagram, the_largest_and_the_empty_arrive_whole) {
  auto from = loopback("127.0.0.1");
  auto to = loopback("127.0.0.1");
  datagram_writer writer;
  std::string large(65507, 'x');
  writer.add(local_endpoint(to.get()), {}, large);
  writer.add(local_endpoint(to.get()), {}, {});
  EXPECT_EQ(writer.send(from.get()), 2U);
  datagram_reader reader;
  auto got = reader.read(to.get());
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0].bytes, large);
  EXPECT_EQ(got[1].bytes, "");
}

TEST(datagram, one_without_a_way_does_not_hold_the_others_back) {
  auto from = loopback("127.0.0.1");
  auto to = loopback("127.0.0.1");
  datagram_writer writer;
  std::string too_large(65508, 'x');
  writer.add(local_endpoint(to.get()), {}, too_large);
  writer.add(local_endpoint(to.get()), {}, "small");
  EXPECT_EQ(writer.send(from.get()), 1U);
  datagram_reader reader;
  auto got = reader.read(to.get());
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].bytes, "small");
}

} // namespace
} // namespace marchproxy::net

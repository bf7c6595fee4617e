// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/datagram_runs.hpp"

#include "nodes/net/datagram.hpp"
#include "nodes/net/datagram_socket.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <string>
#include <tuple>
#include <vector>

namespace marchproxy::net {
namespace {

unique_fd bound(const char* address) {
  auto fd = bind_udp({*parse_ip(address), 0});
  EXPECT_TRUE(fd) << (fd ? "" : to_string(fd.error()));
  widen_receive_buffer(fd->get(), 4'000'000);
  return std::move(*fd);
}

unique_fd connected(const unique_fd& to) {
  auto fd = connect_udp(local_endpoint(to.get()));
  EXPECT_TRUE(fd) << (fd ? "" : to_string(fd.error()));
  return std::move(*fd);
}

/// All that waits, cut up again, and into how many the kernel had joined it.
struct arrived {
  std::vector<std::string> datagrams;
  std::size_t pieces = 0;
};
arrived take_all(const unique_fd& fd) {
  arrived out;
  datagram_reader reader;
  for (auto got = reader.read(fd.get()); !got.empty(); got = reader.read(fd.get()))
    for (const auto& d : got) {
      ++out.pieces;
      const auto before = out.datagrams.size();
      d.for_each([&](std::string_view bytes) { out.datagrams.emplace_back(bytes); });
      EXPECT_EQ(out.datagrams.size() - before, d.count());
    }
  return out;
}

std::vector<std::string> of_sizes(const std::vector<std::size_t>& sizes) {
  std::vector<std::string> out;
  for (auto size : sizes)
    out.emplace_back(size, static_cast<char>('a' + out.size() % 26));
  return out;
}

run_writer::tally
send(run_writer& writer, const run_writer::way& way, const std::vector<std::string>& datagrams) {
  writer.begin(way);
  for (const auto& each : datagrams)
    writer.add(each, 0);
  return writer.finish();
}

const std::vector<std::vector<std::size_t>> mixtures = {
  {},
  {0},
  {5},
  {5, 5, 5},
  {5, 5, 3},
  {5, 5, 3, 3, 3, 5},
  {5, 6, 7, 8},
  {8, 7, 6, 5},
  {0, 0, 5, 5, 0, 5},
  {65'507},
  {30'000, 30'000, 30'000, 1},
  {1200, 65'507, 0, 1200, 1200},
  std::vector<std::size_t>(64, 100),
  std::vector<std::size_t>(65, 100),
  std::vector<std::size_t>(500, 32),
};

TEST(run_writer, what_arrives_is_what_was_added_in_its_order) {
  run_writer writer;
  for (const auto* address : {"127.0.0.1", "::1"})
    for (auto most : {run_writer::any_segment, std::uint16_t{0}, std::uint16_t{1000}})
      for (const auto& sizes : mixtures) {
        auto to = bound(address);
        auto from = connected(to);
        const auto datagrams = of_sizes(sizes);
        const auto tally = send(writer, {.fd = from.get(), .most_segment = most}, datagrams);
        EXPECT_EQ(take_all(to).datagrams, datagrams);
        EXPECT_EQ(tally.datagrams, datagrams.size());
        EXPECT_EQ(tally.bytes, std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}));
        EXPECT_EQ(tally.error, 0);
        EXPECT_EQ(tally.most_segment, most);
      }
}

TEST(run_writer, any_mixture_arrives_as_it_was_joined_or_not_on_its_way) {
  std::mt19937 random{11};
  run_writer writer;
  auto between = bound("127.0.0.1");
  join_segments(between.get());
  auto last = bound("127.0.0.1");
  auto first_leg = connected(between);
  auto second_leg = connected(last);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::size_t> sizes(random() % 120);
    const auto usual = random() % 1500;
    for (auto& size : sizes)
      size = random() % 4 == 0 ? random() % 1500 : usual;
    const auto datagrams = of_sizes(sizes);
    ASSERT_EQ(send(writer, {.fd = first_leg.get()}, datagrams).datagrams, datagrams.size());
    datagram_reader reader;
    const auto most =
      random() % 3 == 0 ? static_cast<std::uint16_t>(random() % 1500) : run_writer::any_segment;
    std::size_t passed = 0;
    for (auto got = reader.read(between.get()); !got.empty(); got = reader.read(between.get())) {
      writer.begin({.fd = second_leg.get(), .most_segment = most});
      for (const auto& d : got)
        writer.add(d.bytes, d.segment);
      passed += writer.finish().datagrams;
    }
    EXPECT_EQ(passed, datagrams.size());
    ASSERT_EQ(take_all(last).datagrams, datagrams) << "round " << round;
  }
}

TEST(run_writer, equal_neighbours_travel_as_one_and_can_go_on_as_one) {
  if (auto can = probe_udp_offload(); !can.send || !can.receive)
    GTEST_SKIP() << "this kernel has no UDP_SEGMENT or UDP_GRO";
  run_writer writer;
  auto to = bound("127.0.0.1");
  join_segments(to.get());
  const auto datagrams = of_sizes({50, 50, 50, 50, 20, 7});
  ASSERT_EQ(send(writer, {.fd = connected(to).get()}, datagrams).datagrams, 6U);
  datagram_reader reader;
  auto got = reader.read(to.get());
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0].segment, 50);
  EXPECT_EQ(got[0].count(), 5U);
  EXPECT_EQ(got[1].segment, 0);
  auto further = bound("127.0.0.1");
  auto next = connected(further);
  for (auto most : {run_writer::any_segment, std::uint16_t{49}}) {
    writer.begin({.fd = next.get(), .most_segment = most});
    for (const auto& d : got)
      writer.add(d.bytes, d.segment);
    EXPECT_EQ(writer.finish().datagrams, 6U);
    EXPECT_EQ(take_all(further).datagrams, datagrams);
  }
}

TEST(run_writer, where_the_kernel_cannot_cut_they_go_one_by_one) {
  run_writer writer;
  auto to = bound("127.0.0.1");
  auto from = connected(to);
  int yes = 1; // without a checksum to fill in, UDP_SEGMENT is refused
  ASSERT_EQ(setsockopt(from.get(), SOL_SOCKET, SO_NO_CHECK, &yes, sizeof yes), 0);
  const auto datagrams = of_sizes({50, 50, 50, 20});
  auto tally = send(writer, {.fd = from.get()}, datagrams);
  EXPECT_EQ(take_all(to).datagrams, datagrams);
  EXPECT_EQ(tally.datagrams, 4U);
  EXPECT_EQ(tally.bytes, 170U);
  EXPECT_LT(tally.most_segment, probe_udp_offload().send ? 50 : 0x10000);
}

TEST(run_writer, an_unconnected_socket_sends_to_and_from_where_it_is_told) {
  run_writer writer;
  for (const auto& [any, from, own] :
       {std::tuple{"0.0.0.0", "127.0.0.5", "127.0.0.1"}, std::tuple{"::", "::1", "::1"}}) {
    auto wide = bound(any);
    auto to = bound(own);
    const auto address = to_socket_address(local_endpoint(to.get()));
    const auto source = *parse_ip(from);
    const auto datagrams = of_sizes({9, 9, 9});
    send(writer, {.fd = wide.get(), .to = &address, .from = &source}, datagrams);
    datagram_reader reader;
    auto got = reader.read(to.get());
    ASSERT_EQ(got.size(), 3U);
    EXPECT_EQ(got[2].from, (endpoint{source, local_endpoint(wide.get()).port}));
    // And what is sent to it says to which of the host's addresses.
    tell_destination(wide.get());
    auto back = to_socket_address({source, local_endpoint(wide.get()).port});
    send(writer, {.fd = to.get(), .to = &back}, datagrams);
    got = reader.read(wide.get());
    ASSERT_EQ(got.size(), 3U);
    EXPECT_EQ(got[2].to.address, source);
    tell_original_destination(wide.get());
    send(writer, {.fd = to.get(), .to = &back}, datagrams);
    got = reader.read(wide.get());
    ASSERT_EQ(got.size(), 3U);
    EXPECT_EQ(got[2].to, (endpoint{source, local_endpoint(wide.get()).port}));
  }
}

TEST(run_writer, that_nobody_listens_is_told_and_costs_no_other_datagram) {
  run_writer writer;
  auto to = bound("127.0.0.1");
  const auto at = local_endpoint(to.get());
  auto from = connected(to);
  to.reset();
  EXPECT_EQ(send(writer, {.fd = from.get()}, of_sizes({1})).error, 0);
  to = std::move(*bind_udp(at));
  const auto later = of_sizes({2, 3});
  const auto tally = send(writer, {.fd = from.get()}, later);
  EXPECT_EQ(tally.error, ECONNREFUSED);
  EXPECT_EQ(tally.datagrams, 2U);
  EXPECT_EQ(take_all(to).datagrams, later);
}

} // namespace
} // namespace marchproxy::net

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/relay_fixture.test.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;

constexpr std::size_t bulk = 32 * 1024 * 1024;
constexpr std::size_t piece = 64 * 1024;

/// Byte @p i of an endless text that no shift of it resembles.
char byte_at(std::size_t i) {
  return static_cast<char>((i * 2654435761U) >> 13);
}

bool send_bulk(const peer& p, std::size_t size) {
  std::string part;
  for (std::size_t at = 0; at < size; at += part.size()) {
    part.resize(std::min(piece, size - at));
    for (std::size_t i = 0; i < part.size(); ++i)
      part[i] = byte_at(at + i);
    if (!p.send(part))
      return false;
  }
  return true;
}

/// @return how many bytes came as they should
std::size_t receive_bulk(peer& p) {
  std::size_t at = 0;
  for (auto part = p.some(); !part.empty(); part = p.some())
    for (char c : part) {
      if (c != byte_at(at))
        return at;
      ++at;
    }
  return at;
}

class relay_bulk : public relaying {};

TEST_F(relay_bulk, thirty_two_megabytes_arrive_whole_in_both_directions_at_once) {
  std::atomic<std::size_t> arrived{0};
  origin both{[&](peer& p) {
    std::thread writer{[&] {
      send_bulk(p, bulk);
      p.shut_down();
    }};
    arrived = receive_bulk(p);
    writer.join();
  }};
  start(allow_loopback().snapshot());
  auto p = dial();
  connect(p, at(both.port));
  std::thread writer{[&] {
    EXPECT_TRUE(send_bulk(p, bulk));
    p.shut_down();
  }};
  EXPECT_EQ(receive_bulk(p), bulk);
  writer.join();
  EXPECT_TRUE(eventually([&] { return arrived == bulk; }));
  auto r = record();
  EXPECT_EQ(r.bytes_up, bulk);
  EXPECT_EQ(r.bytes_down, bulk);
}

TEST_F(relay_bulk, a_reader_that_stalls_stops_the_sender_and_gets_everything_later) {
  origin sends{[&](peer& p) {
    send_bulk(p, bulk);
    p.shut_down();
  }};
  start(allow_loopback().snapshot());
  auto p = dial();
  int small = 16 * 1024;
  setsockopt(p.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  connect(p, at(sends.port));
  // Nothing is read: what the relay took settles, far below what the origin has to send.
  std::uint64_t before = 0;
  int same = 0;
  ASSERT_TRUE(eventually([&] {
    auto now = server->totals().bytes_down;
    same = now == before && now > 0 ? same + 1 : 0;
    before = now;
    return same > 200;
  }));
  EXPECT_LT(before, bulk / 2);
  EXPECT_EQ(receive_bulk(p), bulk);
}

TEST_F(relay_bulk, bodies_of_megabytes_are_forwarded_whole) {
  origin web{[&](peer& p) {
    auto head = p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(bulk) + "\r\n\r\n");
    send_bulk(p, bulk);
  }};
  start(allow_loopback().snapshot());
  auto p = dial();
  p.send("GET http://" + at(web.port) + "/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(p.until("\r\n\r\n").starts_with("HTTP/1.1 200"));
  EXPECT_EQ(receive_bulk(p), bulk);
}

} // namespace
} // namespace marchproxy::relay

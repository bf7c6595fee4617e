// SPDX-License-Identifier: AGPL-3.0-only
// Limits of bytes (POL-7): what may not pass yet waits, and everything arrives.
#include "nodes/net/datagram.hpp"
#include "nodes/relay/forward_fixture.test.hpp"
#include "nodes/wire/socks5.hpp"

#include <thread>

namespace marchproxy::relay {
namespace {

using namespace testing;

constexpr std::uint64_t rate = 2'000'000;
constexpr std::uint64_t burst = 100'000;

model::limits bytes(std::uint64_t a_second = rate, std::uint64_t at_once = burst) {
  model::limits out;
  out.bytes = model::rate_limit{a_second, 1, at_once};
  return out;
}

rules limited(const model::limits& of_mapping, std::uint64_t revision = 1) {
  rules out{revision};
  auto client = out.service("client", "127.0.0.1/32");
  out.mapping(client, out.service("origin", "127.0.0.1/32")).limits = of_mapping;
  return out;
}

/// Text that no shift of it resembles.
std::string text_of(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    out[i] = static_cast<char>((i * 2654435761U) >> 13);
  return out;
}

class relay_limits_bytes : public forwarding {
protected:
  void SetUp() override { begin_ = std::chrono::steady_clock::now(); }
  /// No more than the limit let pass since the test began.
  void expect_within_limit(std::uint64_t passed) const {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin_;
    EXPECT_LE(static_cast<double>(passed),
              static_cast<double>(burst) + static_cast<double>(rate) * elapsed.count());
  }
  peer tunnel(std::uint16_t port) {
    auto p = dial();
    EXPECT_TRUE(connect(p, at(port)).starts_with("HTTP/1.1 200"));
    return p;
  }

private:
  std::chrono::steady_clock::time_point begin_;
};

TEST_F(relay_limits_bytes, a_tunnel_takes_its_time_in_both_directions_together) {
  // Long enough to be spliced.
  const auto sent = text_of(400'000);
  origin back{echo};
  start(limited(bytes()).snapshot());
  auto p = tunnel(back.port);
  std::thread writer{[&] {
    EXPECT_TRUE(p.send(sent));
    p.shut_down();
  }};
  EXPECT_EQ(p.all(), sent);
  expect_within_limit(2 * sent.size());
  writer.join();
  const auto r = record();
  EXPECT_EQ(r.bytes_up, sent.size());
  EXPECT_EQ(r.bytes_down, sent.size());
}

TEST_F(relay_limits_bytes, tunnels_share_the_limit) {
  settings.workers = 2;
  const auto sent = text_of(100'000);
  origin sends{[&](peer& p) {
    p.send(sent);
    p.shut_down();
  }};
  start(limited(bytes()).snapshot());
  std::vector<peer> tunnels;
  for (int i = 0; i < 8; ++i)
    tunnels.push_back(tunnel(sends.port));
  std::vector<std::thread> readers;
  for (auto& p : tunnels)
    readers.emplace_back([&] { EXPECT_EQ(p.all(), sent); });
  for (auto& one : readers)
    one.join();
  expect_within_limit(8 * sent.size());
}

TEST_F(relay_limits_bytes, a_body_with_a_length_and_one_in_chunks_take_their_time) {
  const auto sent = text_of(150'000);
  start(limited(bytes()).snapshot());
  auto p = dial();
  const auto post = "POST " + url(mirror_origin) + " HTTP/1.1\r\nHost: x\r\n";
  p.send(post + "Content-Length: " + std::to_string(sent.size()) + "\r\n\r\n" + sent);
  EXPECT_TRUE(answer(p).second.ends_with(sent));
  expect_within_limit(2 * sent.size());
  char size[16];
  snprintf(size, sizeof size, "%zx", sent.size());
  p.send(post + "Transfer-Encoding: chunked\r\n\r\n" + size + "\r\n" + sent + "\r\n0\r\n\r\n");
  EXPECT_TRUE(answer(p).second.ends_with(sent));
  expect_within_limit(4 * sent.size());
}

TEST_F(relay_limits_bytes, heads_are_bytes_too) {
  start(limited(bytes(1, 1000)).snapshot());
  auto p = dial();
  for (int i = 0; i < 20; ++i)
    p.send("GET " + url(mirror_origin) + " HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto passed = [&] {
    const auto now = server->totals();
    return now.bytes_up + now.bytes_down;
  };
  // Each request and its answer are some 250 bytes.
  ASSERT_TRUE(eventually([&] { return passed() >= 1000; }));
  EXPECT_LE(passed(), 1010U);
  EXPECT_EQ(p.exactly(100).substr(0, 12), "HTTP/1.1 200");
}

TEST_F(relay_limits_bytes, who_waits_for_bytes_is_not_idle) {
  settings.idle_timeout = 100ms;
  const auto sent = text_of(1500);
  origin sends{[&](peer& p) {
    p.send(sent);
    p.shut_down();
  }};
  // The last byte comes half a second after the first.
  start(limited(bytes(1000, 1000)).snapshot());
  auto p = tunnel(sends.port);
  EXPECT_EQ(p.all(), sent);
}

TEST_F(relay_limits_bytes, a_revision_changes_the_pace_of_tunnels_that_live) {
  const auto sent = text_of(1'000'000);
  origin sends{[&](peer& p) {
    p.send(sent);
    p.shut_down();
  }};
  start(limited(bytes(1, 1000)).snapshot());
  auto p = tunnel(sends.port);
  EXPECT_EQ(p.exactly(1000), sent.substr(0, 1000));
  publish(limited(bytes(1'000'000'000, 1'000'000'000), 2).snapshot());
  EXPECT_EQ(p.exactly(400'000), sent.substr(1000, 400'000));
  publish(allow_loopback(3).snapshot());
  EXPECT_EQ(p.all(), sent.substr(401'000));
}

TEST_F(relay_limits_bytes, a_datagram_beyond_the_limit_is_dropped_and_counted) {
  start(limited(bytes(1, 10)).snapshot());
  auto target = *net::bind_udp({*parse_ip("127.0.0.1"), 0});
  auto client = *net::bind_udp({*parse_ip("127.0.0.1"), 0});
  auto control = dial();
  control.send("\x05\x01\0\x05\x03\0\x01\0\0\0\0\0\0"s);
  const auto relay_at = wire::socks5::parse_datagram("\0\0\0"s + control.exactly(12).substr(5));
  ASSERT_TRUE(relay_at);
  const auto to = net::local_endpoint(target.get());
  const auto at = net::to_socket_address({*relay_at->target.host.address(), relay_at->target.port});
  for (const auto* text : {"123456", "12345", "1234", "1"}) {
    const auto datagram =
      std::string{wire::socks5::datagram_head(to.address, to.port).view()} + text;
    EXPECT_GT(sendto(client.get(), datagram.data(), datagram.size(), 0, at.get(), at.size), 0);
  }
  ASSERT_TRUE(eventually([&] {
    const auto now = server->totals();
    return now.udp_up + now.udp_dropped == 4;
  }));
  const auto now = server->totals();
  EXPECT_EQ(now.udp_up, 2U);
  EXPECT_EQ(now.bytes_up, 10U);
  using limiting::subject;
  EXPECT_EQ(now.limited.at({{subject::kind::mapping, 1}, limiting::limit_kind::bytes}), 2U);
}

} // namespace
} // namespace marchproxy::relay

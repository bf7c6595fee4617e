// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/socket.hpp"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

namespace marchproxy::net {
namespace {

void wait_for(int fd, short events) {
  pollfd p{fd, events, 0};
  ASSERT_EQ(poll(&p, 1, 5000), 1);
}

TEST(own_address, is_one_that_the_machine_itself_has) {
  for (const auto* own : {"127.0.0.1", "::1"})
    EXPECT_TRUE(is_own_address(*parse_ip(own))) << own;
  for (const auto* other : {"192.0.2.1", "2001:db8::1"}) // documentation: nobody's
    EXPECT_FALSE(is_own_address(*parse_ip(other))) << other;
}

class socket_pair : public testing::TestWithParam<const char*> {};

TEST_P(socket_pair, listens_connects_and_accepts) {
  auto listener = listen_tcp({*parse_ip(GetParam()), 0});
  ASSERT_TRUE(listener) << to_string(listener.error());
  auto at = local_endpoint(listener->get());
  ASSERT_NE(at.port, 0);
  auto client = connect_tcp(at);
  ASSERT_TRUE(client);
  wait_for(client->get(), POLLOUT);
  EXPECT_EQ(take_error(client->get()), 0);
  wait_for(listener->get(), POLLIN);
  auto got = accept_tcp(listener->get());
  ASSERT_EQ(got.state, accept_state::accepted);
  EXPECT_EQ(got.connection.peer, local_endpoint(client->get()));
  EXPECT_EQ(accept_tcp(listener->get()).state, accept_state::none);
  for (auto fd : {client->get(), got.connection.fd.get()}) {
    int undelayed = 0;
    socklen_t size = sizeof undelayed;
    ASSERT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &undelayed, &size), 0);
    EXPECT_NE(undelayed, 0);
  }
  reset_on_close(client->get());
  client->reset();
  wait_for(got.connection.fd.get(), POLLIN);
  char c = 0;
  EXPECT_EQ(read(got.connection.fd.get(), &c, 1), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

INSTANTIATE_TEST_SUITE_P(families, socket_pair, testing::Values("127.0.0.1", "::1"));

TEST(socket, workers_share_a_port_and_strangers_do_not) {
  auto first = listen_tcp({*parse_ip("127.0.0.1"), 0});
  ASSERT_TRUE(first);
  auto at = local_endpoint(first->get());
  EXPECT_TRUE(listen_tcp(at));
  listen_options alone;
  alone.reuse_port = false;
  auto stranger = listen_tcp(at, alone);
  ASSERT_FALSE(stranger);
  EXPECT_EQ(stranger.error().code, errc::conflict);
  auto foreign = listen_tcp({*parse_ip("192.0.2.1"), 0});
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, errc::invalid_argument);
}

TEST(socket, a_refused_connect_says_so) {
  endpoint at;
  {
    auto listener = listen_tcp({*parse_ip("127.0.0.1"), 0});
    at = local_endpoint(listener->get());
  }
  auto client = connect_tcp(at);
  if (client) {
    wait_for(client->get(), POLLOUT);
    EXPECT_EQ(take_error(client->get()), ECONNREFUSED);
  }
}

TEST(endpoint, text_round_trips) {
  for (auto text : {"10.0.0.1:80", "[2001:db8::1]:65535", "0.0.0.0:0"}) {
    auto at = parse_endpoint(text);
    ASSERT_TRUE(at) << text;
    EXPECT_EQ(to_string(*at), text);
  }
  for (auto text : {"", ":", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "::1:80", "[10.0.0.1]:80",
                    "[::1]80", "a:1", "10.0.0.1:1x"})
    EXPECT_FALSE(parse_endpoint(text)) << text;
}

TEST(unique_fd, closes_once_and_moves) {
  unique_fd a{dup(0)};
  auto number = a.get();
  unique_fd b{std::move(a)};
  EXPECT_FALSE(a); // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(b.get(), number);
  b = unique_fd{};
  EXPECT_FALSE(b);
}

} // namespace
} // namespace marchproxy::net

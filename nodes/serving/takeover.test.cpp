// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/takeover.hpp"

#include "nodes/net/socket.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <semaphore>

namespace marchproxy::serving {

namespace {

using namespace std::chrono_literals;

class takeover : public ::testing::Test {
protected:
  std::unique_ptr<successor_door> open(const std::string& component = "egress") {
    auto door = successor_door::open({directory, component,
                                      [this] {
                                        std::vector<net::unique_fd> out;
                                        out.push_back(net::duplicate(listening.get()));
                                        return out;
                                      },
                                      [this] { told.release(); }});
    EXPECT_TRUE(door) << (door ? "" : to_string(door.error()));
    return std::move(*door);
  }

  marchproxy::testing::temporary_directory scratch;
  const std::filesystem::path& directory = scratch.path();
  net::unique_fd listening = std::move(*net::listen_tcp({ip_address::v4(0x7f000001), 0}));
  std::binary_semaphore told{0};
};

TEST_F(takeover, finds_nobody_when_nobody_serves) {
  auto before = predecessor::find(directory, "egress");
  ASSERT_TRUE(before) << to_string(before.error());
  EXPECT_EQ(*before, nullptr);
}

TEST_F(takeover, hands_the_sockets_over_and_lets_go_when_the_next_serves) {
  auto door = open();
  auto before = predecessor::find(directory, "egress");
  ASSERT_TRUE(before && *before);
  auto sockets = (*before)->take_sockets();
  ASSERT_EQ(sockets.size(), 1U);
  EXPECT_EQ(net::local_endpoint(sockets[0].get()), net::local_endpoint(listening.get()));
  EXPECT_FALSE(door->taken()) << "the next one does not serve yet";
  std::jthread next{[&] { (*before)->succeed(); }};
  ASSERT_TRUE(told.try_acquire_for(10s));
  EXPECT_TRUE(door->taken());
  door->release();
}

TEST_F(takeover, goes_on_when_the_next_fails_to_start) {
  auto door = open();
  for (int i = 0; i < 2; ++i) {
    auto before = predecessor::find(directory, "egress");
    ASSERT_TRUE(before && *before) << "attempt " << i;
    before->reset();
  }
  EXPECT_FALSE(door->taken());
  auto before = predecessor::find(directory, "egress");
  ASSERT_TRUE(before && *before);
  std::jthread next{[&] { (*before)->succeed(); }};
  ASSERT_TRUE(told.try_acquire_for(10s));
  door->release();
}

TEST_F(takeover, refuses_a_proxy_of_another_kind) {
  auto door = open("ingress");
  auto before = predecessor::find(directory, "egress");
  ASSERT_FALSE(before);
  EXPECT_EQ(before.error().code, errc::refused);
  EXPECT_NE(before.error().message.find("marchproxy-ingress serves"), std::string::npos)
    << before.error().message;
}

TEST_F(takeover, is_not_upset_by_nonsense) {
  auto door = open();
  for (const auto* words :
       {"", "null", "[]", "{\"component\":7}", "{\"component\":{}}", "\xff\xfe"}) {
    auto channel = net::local_channel::connect(directory / "takeover.sock");
    ASSERT_TRUE(channel);
    static_cast<void>(channel->send(words));
  }
  auto before = predecessor::find(directory, "egress");
  EXPECT_TRUE(before && *before);
}

TEST_F(takeover, a_door_closes_while_the_next_is_starting) {
  auto door = open();
  auto before = predecessor::find(directory, "egress");
  ASSERT_TRUE(before && *before);
  door.reset();
  (*before)->succeed(); // says that nobody answers, and goes on
}

} // namespace

} // namespace marchproxy::serving

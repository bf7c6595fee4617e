// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/local_channel.hpp"

#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <thread>

namespace marchproxy::net {

namespace {

using namespace std::chrono_literals;

class local_channels : public ::testing::Test {
protected:
  marchproxy::testing::temporary_directory scratch;
  std::filesystem::path path = scratch.path() / "socket";
};

TEST_F(local_channels, carry_words_and_descriptors) {
  auto listening = local_listener::open(path);
  ASSERT_TRUE(listening) << to_string(listening.error());
  auto near = local_channel::connect(path);
  ASSERT_TRUE(near) << to_string(near.error());
  auto far = listening->accept(5s);
  ASSERT_TRUE(far);

  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  ASSERT_TRUE(near->send("take this", pipe_ends[1]));
  ASSERT_TRUE(near->send("and no more"));
  close(pipe_ends[1]);
  auto first = far->receive(5s);
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_EQ(first->text, "take this");
  ASSERT_TRUE(first->descriptor);
  EXPECT_EQ(write(first->descriptor.get(), "x", 1), 1);
  char got = 0;
  EXPECT_EQ(read(pipe_ends[0], &got, 1), 1) << "it is the same pipe";
  close(pipe_ends[0]);
  auto second = far->receive(5s);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->text, "and no more");
  EXPECT_FALSE(second->descriptor);
  EXPECT_TRUE(far->send("thanks"));
  EXPECT_EQ(near->receive(5s)->text, "thanks");
}

TEST_F(local_channels, say_when_nobody_is_there) {
  EXPECT_EQ(local_channel::connect(path).error().code, errc::not_found);
  {
    auto gone = local_listener::open(path);
    ASSERT_TRUE(gone);
    EXPECT_FALSE(gone->accept(0ms));
  }
  EXPECT_FALSE(std::filesystem::exists(path)) << "it tidies up";
  auto listening = local_listener::open(path);
  auto near = local_channel::connect(path);
  auto far = listening->accept(5s);
  EXPECT_EQ(near->receive(0ms).error().code, errc::timeout);
  far.reset();
  EXPECT_EQ(near->receive(5s).error().code, errc::unavailable);
  EXPECT_FALSE(near->send("hello?"));
}

TEST_F(local_channels, are_for_their_user_only) {
  auto listening = local_listener::open(path);
  ASSERT_TRUE(listening);
  struct stat at {};
  ASSERT_EQ(stat(path.c_str(), &at), 0);
  EXPECT_EQ(at.st_mode & 0777, 0600U);
}

TEST_F(local_channels, the_next_listener_takes_the_place) {
  auto first = std::make_unique<local_listener>(std::move(*local_listener::open(path)));
  auto second = local_listener::open(path);
  ASSERT_TRUE(second);
  first.reset();
  EXPECT_TRUE(std::filesystem::exists(path)) << "it is not the first one's any more";
  EXPECT_TRUE(local_channel::connect(path));
  EXPECT_TRUE(second->accept(5s));
}

TEST_F(local_channels, refuse_what_does_not_fit) {
  auto deep = scratch.path() / std::string(120, 'x');
  EXPECT_EQ(local_listener::open(deep).error().code, errc::invalid_argument);
  EXPECT_EQ(local_channel::connect(deep).error().code, errc::invalid_argument);
  auto listening = local_listener::open(path);
  auto near = local_channel::connect(path);
  auto far = listening->accept(5s);
  ASSERT_TRUE(near->send(std::string(local_channel::max_message + 1, 'x')));
  EXPECT_EQ(far->receive(5s).error().code, errc::too_large);
}

} // namespace

} // namespace marchproxy::net

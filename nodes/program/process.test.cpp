// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/program/process.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

namespace marchproxy::program {

namespace {

TEST(process, takes_as_many_descriptors_as_it_may) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  auto low = rlimit{64, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(usage_of_process().most_descriptors, 64U);
  EXPECT_EQ(raise_descriptor_limit(), before.rlim_max);
  EXPECT_EQ(usage_of_process().most_descriptors, before.rlim_max);
  EXPECT_EQ(raise_descriptor_limit(), before.rlim_max) << "again, it changes nothing";
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST(process, counts_descriptors) {
  auto before = usage_of_process().open_descriptors;
  ASSERT_GT(before, 0U);
  auto one = open("/dev/null", O_RDONLY | O_CLOEXEC);
  auto two = open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(usage_of_process().open_descriptors, before + 2);
  close(one);
  close(two);
  EXPECT_EQ(usage_of_process().open_descriptors, before);
}

TEST(process, sees_its_memory_and_time) {
  auto before = usage_of_process();
  std::vector<char> touched(64 << 20, 'x');
  auto after = usage_of_process();
  EXPECT_GT(after.resident_bytes, before.resident_bytes + (32 << 20)) << touched[5];
  EXPECT_GT(after.cpu_seconds, 0);
  EXPECT_GE(after.cpu_seconds, before.cpu_seconds);
}

} // namespace

} // namespace marchproxy::program

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/durable_file.hpp"

#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>

namespace marchproxy {
namespace {

TEST(durable_file, is_replaced_whole_and_read_back) {
  const marchproxy::testing::temporary_directory place;
  auto path = place.path() / "note";
  EXPECT_EQ(read_file(path), std::nullopt);
  ASSERT_TRUE(replace_file(path, "one"));
  ASSERT_TRUE(replace_file(path, std::string(100'000, 'x')));
  EXPECT_EQ(read_file(path), std::string(100'000, 'x'));
  struct stat seen {};
  ASSERT_EQ(stat(path.c_str(), &seen), 0);
  EXPECT_EQ(seen.st_mode & 0777U, 0600U);
  EXPECT_FALSE(std::filesystem::exists(place.path() / "note.new"));
}

TEST(durable_file, of_a_directory_that_is_not_there_is_an_error_that_names_it) {
  auto done = replace_file("/nowhere/at/all", "x");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, errc::unavailable);
  EXPECT_NE(done.error().message.find("/nowhere/at/all.new"), std::string::npos);
}

} // namespace
} // namespace marchproxy

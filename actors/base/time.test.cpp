// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/time.hpp"

#include "actors/base/error.hpp"
#include "actors/base/version.hpp"

#include <gtest/gtest.h>

namespace marchproxy {
namespace {

TEST(time, text_round_trips) {
  time_point at{std::chrono::microseconds{1'795'485'723'000'004}};
  EXPECT_EQ(parse_time(format_time(at)), at);
  EXPECT_EQ(format_time(time_point{}), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(parse_time("1970-01-01T00:00:01.5Z"), time_point{std::chrono::microseconds{1'500'000}});
}

TEST(time, malformed_text_is_refused) {
  for (auto text : {"", "1970-01-01", "1970-02-30T00:00:00Z", "1970-01-01T24:00:00Z",
                    "1970-01-01T00:00:00", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00.1234567Z",
                    "1970-01-01T00:00:00+01:00", "1970-01-01T00:-1:00Z"})
    EXPECT_FALSE(parse_time(text)) << text;
}

TEST(error, one_line_names_every_field) {
  auto e = fail_field("ports[1]", "is 70000, the highest port is 65535").value();
  e.fields.push_back({"name", "is empty"});
  EXPECT_EQ(
    to_string(e),
    "invalid_argument: ports[1]: is 70000, the highest port is 65535 (ports[1]: is 70000, the "
    "highest port is 65535; name: is empty)");
}

TEST(version, has_four_parts) {
  EXPECT_EQ(version().substr(0, 1), "v");
  EXPECT_EQ(std::count(version().begin(), version().end(), '.'), 3);
}

} // namespace
} // namespace marchproxy

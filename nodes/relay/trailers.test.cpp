// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/trailers.hpp"

#include <gtest/gtest.h>

namespace marchproxy::relay {
namespace {

std::string announced(std::string_view head) {
  wire::field_list fields;
  EXPECT_EQ(fields.parse(head), wire::http1_error::none);
  return announced_trailers(fields);
}

TEST(trailers, only_names_that_may_stand_behind_a_body_are_announced) {
  EXPECT_EQ(announced("X: y\r\n"), "");
  EXPECT_EQ(announced("Trailer: X-Sum\r\n"), "X-Sum");
  EXPECT_EQ(announced("Trailer: X-Sum,, a b,\r\ntrailer: Y\r\n"), "X-Sum, Y");
  for (auto name : {"Content-Length",
                    "transfer-encoding",
                    "HOST",
                    "Connection",
                    "TE",
                    "Trailer",
                    "Upgrade",
                    "Keep-Alive",
                    "Proxy-Authorization",
                    "Authorization",
                    "Set-Cookie",
                    "Cookie",
                    "Content-Type",
                    "Content-Encoding",
                    "Content-Range",
                    "Cache-Control",
                    "Expect",
                    "Max-Forwards",
                    "Range",
                    "Via",
                    "Forwarded",
                    "X-Forwarded-For",
                    "X-Client-Cert-Subject",
                    "Sec-WebSocket-Key",
                    "WWW-Authenticate",
                    "Location",
                    "Vary"})
    EXPECT_EQ(announced("Trailer: X-Sum, " + std::string{name} + "\r\n"), "X-Sum") << name;
}

TEST(trailers, what_connection_names_is_not_announced) {
  EXPECT_EQ(announced("Trailer: X-One, X-Two\r\nConnection: close, x-one\r\n"), "X-Two");
}

TEST(trailers, a_section_is_written_anew_with_what_was_announced) {
  EXPECT_EQ(forwarded_trailers("x-sum:1\r\nOther: 2\r\nX-Sum: \t3 \r\n", "X-Sum"),
            "x-sum: 1\r\nX-Sum: 3\r\n");
  EXPECT_EQ(forwarded_trailers("X: y\r\n", ""), "");
  EXPECT_EQ(forwarded_trailers("", "X"), "");
}

TEST(trailers, a_section_that_is_none_is_refused) {
  for (auto lines : {" X: y\r\n", "X : y\r\n", "X\r\n", "X: a\rb\r\n", "X: y\r\n\r\nY: z\r\n"})
    EXPECT_EQ(forwarded_trailers(lines, "X"), std::nullopt) << lines;
  std::string many;
  for (std::size_t i = 0; i <= wire::max_fields; ++i)
    many += "X: y\r\n";
  EXPECT_EQ(forwarded_trailers(many, "X"), std::nullopt);
}

} // namespace
} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/http/connection.hpp"

#include <gtest/gtest.h>

#include <string>

namespace marchproxy::http {
namespace {

constexpr std::size_t bound = 64;

connection fresh() {
  return connection("192.0.2.1", bound);
}

response with_body(std::string body) {
  response out;
  out.body = std::move(body);
  return out;
}

TEST(connection, a_request_arrives_whole_however_its_bytes_do) {
  const std::string bytes =
    "POST /a/b%20c?x=1 HTTP/1.1\r\nHost: api\r\nX-Mixed: Case\r\nContent-Length: 5\r\n\r\nhello";
  auto http = fresh();
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
    http.received(bytes.substr(i, 1));
    ASSERT_FALSE(http.next_request()) << i;
  }
  http.received(bytes.substr(bytes.size() - 1));
  const auto got = http.next_request();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->method, "POST");
  EXPECT_EQ(got->path, "/a/b%20c");
  EXPECT_EQ(got->query, "x=1");
  EXPECT_EQ(got->header("x-mixed"), "Case");
  EXPECT_EQ(got->body, "hello");
  EXPECT_EQ(got->peer, "192.0.2.1");
  EXPECT_FALSE(http.in_the_middle());
}

TEST(connection, chunked_bodies_are_joined) {
  auto http = fresh();
  http.received("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  EXPECT_FALSE(http.next_request());
  EXPECT_TRUE(http.in_the_middle());
  http.received("2\r\nde\r\n0\r\n\r\n");
  const auto got = http.next_request();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->body, "abcde");
}

TEST(connection, pipelined_requests_come_out_one_by_one_and_in_order) {
  auto http = fresh();
  http.received("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(http.next_request()->path, "/1");
  EXPECT_FALSE(http.next_request());
  EXPECT_FALSE(http.wants_input());
  http.answer(with_body("one"), "");
  EXPECT_EQ(http.next_request()->path, "/2");
  http.answer(with_body("two"), "");
  EXPECT_LT(http.output().find("one"), http.output().find("two"));
  EXPECT_TRUE(http.wants_input());
}

TEST(connection, the_answer_to_head_has_the_length_and_no_body) {
  auto http = fresh();
  http.received("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(http.next_request());
  http.answer(with_body("12345"), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(http.output(), "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                           "Content-Length: 5\r\n\r\n");
}

TEST(connection, not_modified_has_neither_length_nor_body) {
  auto http = fresh();
  http.received("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(http.next_request());
  auto unchanged = with_body("x");
  unchanged.status = 304;
  http.answer(unchanged, "");
  EXPECT_EQ(http.output(), "HTTP/1.1 304 Not Modified\r\n\r\n");
}

TEST(connection, a_client_that_asks_for_it_is_told_to_go_on) {
  auto http = fresh();
  http.received("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_FALSE(http.next_request());
  EXPECT_EQ(http.output(), "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST(connection, connection_close_is_honoured) {
  auto http = fresh();
  http.received("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(http.next_request());
  EXPECT_FALSE(http.closing());
  http.answer(with_body(""), "");
  EXPECT_TRUE(http.closing());
  EXPECT_NE(http.output().find("Connection: close\r\n"), std::string::npos);
}

struct refused {
  const char* name;
  std::string bytes;
  const char* status;
};

TEST(connection, what_is_malformed_or_too_large_is_refused_and_ends_it) {
  const refused cases[] = {
    {"not http", "hello\r\n\r\n", "400"},
    {"bare line feed", "GET / HTTP/1.1\nHost: a\n\n", "400"},
    {"both framings",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
     "400"},
    {"xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", "400"},
    {"version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
    {"great head", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x'), "431"},
    {"announced body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65\r\n\r\n", "413"},
    {"chunked body",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n"
       + std::string(65, 'x'),
     "413"},
    {"bad chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
  };
  for (const auto& one : cases) {
    auto http = fresh();
    http.received(one.bytes);
    EXPECT_FALSE(http.next_request()) << one.name;
    EXPECT_EQ(http.output().substr(9, 3), one.status) << one.name;
    EXPECT_TRUE(http.closing()) << one.name;
    http.received("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_FALSE(http.next_request()) << one.name;
  }
}

} // namespace
} // namespace marchproxy::http

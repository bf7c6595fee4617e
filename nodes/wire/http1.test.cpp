// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/http1.hpp"

#include "nodes/wire/http1_writer.hpp"

#include <gtest/gtest.h>

#include <string>

namespace marchproxy::wire {
namespace {

using namespace std::string_literals;

/// The views in @p out point into @p head.
http1_error parse_request(std::string_view head, request_head& out) {
  head_scanner scanner;
  auto found = scanner.scan(head);
  if (found.state != parse_state::complete)
    return found.error;
  return out.parse(head.substr(0, found.size));
}

http1_error error_of(const std::string& head) {
  request_head out;
  return parse_request(head, out);
}

http1_error with_field(const std::string& line) {
  return error_of("GET / HTTP/1.1\r\nHost: a.b\r\n" + line + "\r\n\r\n");
}

http1_error with_target(const std::string& method, const std::string& target) {
  return error_of(method + " " + target + " HTTP/1.1\r\nHost: a.b\r\n\r\n");
}

TEST(request_head, origin_form_takes_its_authority_from_host) {
  request_head r;
  ASSERT_EQ(
    parse_request("GET /a%20b?q=|{} HTTP/1.1\r\nHost: A.b:81\r\nX:  v \t\r\nAccept:\r\n\r\n", r),
    http1_error::none);
  EXPECT_EQ(r.method, "GET");
  EXPECT_EQ(r.form, target_form::origin);
  EXPECT_EQ(r.path, "/a%20b?q=|{}");
  EXPECT_EQ(r.authority.text(), "a.b:81");
  EXPECT_EQ(r.fields.size(), 3U);
  EXPECT_EQ(r.fields.find("x"), "v");
  EXPECT_EQ(r.fields.find("accept"), "");
  EXPECT_TRUE(r.keep_alive);
  EXPECT_EQ(r.body, body_framing{});
}

TEST(request_head, absolute_form_wins_over_host) {
  request_head r;
  ASSERT_EQ(parse_request("GET HTTP://c.d:8080?x=1 HTTP/1.1\r\nHost: a.b\r\n\r\n", r),
            http1_error::none);
  EXPECT_EQ(r.form, target_form::absolute);
  EXPECT_EQ(r.scheme, url_scheme::http);
  EXPECT_EQ(r.authority.text(), "c.d:8080");
  EXPECT_EQ(r.path, "?x=1");
  ASSERT_EQ(parse_request("GET https://[::1] HTTP/1.1\r\nHost:\r\n\r\n", r), http1_error::none);
  EXPECT_EQ(r.scheme, url_scheme::https);
  EXPECT_EQ(r.path, "");
  EXPECT_EQ(r.authority.host.address(), parse_ip("::1"));
}

TEST(request_head, authority_and_asterisk_forms_belong_to_their_methods) {
  request_head r;
  ASSERT_EQ(parse_request("CONNECT a.b:443 HTTP/1.1\r\nHost: a.b\r\n\r\n", r), http1_error::none);
  EXPECT_EQ(r.form, target_form::authority);
  EXPECT_EQ(r.authority.port, 443);
  ASSERT_EQ(parse_request("OPTIONS * HTTP/1.1\r\nHost: a.b\r\n\r\n", r), http1_error::none);
  EXPECT_EQ(r.form, target_form::asterisk);
  for (auto target : {"/", "a.b", "http://a.b/", "a.b:0", "*", "u@a.b:1", "a.b:443/",
                      "2130706433:80", "127.1:80"})
    EXPECT_EQ(with_target("CONNECT", target), http1_error::target) << target;
  for (auto target : {"*",
                      "a.b:443",
                      "ftp://a.b/",
                      "http:/a",
                      "http://",
                      "http://u:p@a.b/",
                      "http://a.b:0/",
                      "http://a b/",
                      "/#f",
                      "/a\\b",
                      "/%",
                      "/%2",
                      "/%zz",
                      "/\x01",
                      "/\xc3\xa9",
                      "/<",
                      "//a\"",
                      " /",
                      "http://0x7f.1/",
                      "http://a.b#f"})
    EXPECT_EQ(with_target("GET", target), http1_error::target) << target;
}

TEST(request_head, lines_end_in_crlf_only) {
  EXPECT_EQ(error_of("GET / HTTP/1.1\nHost: a\n\n"), http1_error::line_ending);
  EXPECT_EQ(error_of("GET / HTTP/1.1\r\nHost: a\n\r\n"), http1_error::line_ending);
  EXPECT_EQ(error_of("GET / HTTP/1.1\r\nHost: a\r\n\n"), http1_error::line_ending);
  EXPECT_EQ(with_field("X: a\rb"), http1_error::line_ending);
  EXPECT_EQ(with_field("X: a\r"), http1_error::line_ending);
  EXPECT_EQ(error_of("\r\n\r\n"), http1_error::line_ending);
  EXPECT_EQ(error_of("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), http1_error::none);
}

TEST(request_head, request_line_is_three_words) {
  EXPECT_EQ(error_of("GET /\r\nHost: a\r\n\r\n"), http1_error::version);
  EXPECT_EQ(error_of("GET\r\nHost: a\r\n\r\n"), http1_error::method);
  EXPECT_EQ(error_of(" / HTTP/1.1\r\nHost: a\r\n\r\n"), http1_error::method);
  EXPECT_EQ(error_of("G(T / HTTP/1.1\r\nHost: a\r\n\r\n"), http1_error::method);
  EXPECT_EQ(error_of(std::string(33, 'A') + " / HTTP/1.1\r\nHost: a\r\n\r\n"), http1_error::method);
  for (auto version : {"HTTP/2.0", "HTTP/1.2", "http/1.1", "HTTP/1.10", "HTTP/01.1", "HTTP/1.1 "})
    EXPECT_NE(error_of("GET / "s + version + "\r\nHost: a\r\n\r\n"), http1_error::none) << version;
}

TEST(request_head, field_names_are_tokens_next_to_their_colon) {
  for (auto line : {"X : a", "X", ": a", "X\x01: a", "X(: a", "X\xff: a", "a b: c"})
    EXPECT_EQ(with_field(line), http1_error::field_name) << line;
  EXPECT_EQ(with_field(" folded"), http1_error::obs_fold);
  EXPECT_EQ(with_field("\tfolded: a"), http1_error::obs_fold);
  EXPECT_EQ(with_field("X: a\r\n b"), http1_error::obs_fold);
  EXPECT_EQ(with_field("X: a\0b"s), http1_error::field_value);
  EXPECT_EQ(with_field("X: a\x7f"), http1_error::field_value);
  EXPECT_EQ(with_field("X: \xc3\xa9"), http1_error::none);
}

TEST(request_head, host_is_there_once) {
  EXPECT_EQ(error_of("GET / HTTP/1.1\r\n\r\n"), http1_error::host);
  EXPECT_EQ(error_of("GET / HTTP/1.0\r\n\r\n"), http1_error::none);
  EXPECT_EQ(with_field("Host: a.b"), http1_error::host);
  for (auto value : {"a b", "a,b", "a@b", "a:b", "127.1", "a/b"})
    EXPECT_EQ(error_of("GET / HTTP/1.1\r\nHost: "s + value + "\r\n\r\n"), http1_error::host)
      << value;
}

TEST(request_head, framing_that_two_parsers_could_read_differently_is_refused) {
  struct row {
    std::string fields;
    http1_error error;
  };
  for (const auto& [fields, error] : std::initializer_list<row>{
         {"Content-Length: 5\r\nTransfer-Encoding: chunked", http1_error::framing_conflict},
         {"Content-Length: 5\r\nContent-Length: 5", http1_error::content_length},
         {"Content-Length: 5, 5", http1_error::content_length},
         {"Content-Length: +5", http1_error::content_length},
         {"Content-Length: -5", http1_error::content_length},
         {"Content-Length: -0", http1_error::content_length},
         {"Content-Length: 0x5", http1_error::content_length},
         {"Content-Length: 5 5", http1_error::content_length},
         {"Content-Length:", http1_error::content_length},
         {"Content-Length: 9223372036854775808", http1_error::content_length},
         {"Transfer-Encoding: xchunked", http1_error::transfer_encoding},
         {"Transfer-Encoding: gzip, chunked", http1_error::transfer_encoding},
         {"Transfer-Encoding: chunked, chunked", http1_error::transfer_encoding},
         {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
          http1_error::transfer_encoding},
         {"Transfer-Encoding: identity", http1_error::transfer_encoding},
         {"Transfer-Encoding: \"chunked\"", http1_error::transfer_encoding},
         {"Transfer-Encoding: chunked;q=1", http1_error::transfer_encoding},
         {"Transfer-Encoding: \x0b"
          "chunked",
          http1_error::field_value},
         {"Transfer-Encoding:", http1_error::transfer_encoding},
         {"Transfer-Encoding : chunked", http1_error::field_name},
       })
    EXPECT_EQ(with_field(fields), error) << fields;
  EXPECT_EQ(error_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            http1_error::transfer_encoding);
}

TEST(request_head, framing_and_persistence) {
  request_head r;
  ASSERT_EQ(
    parse_request(
      "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 12\r\nExpect: 100-continue\r\n\r\n", r),
    http1_error::none);
  EXPECT_EQ(r.body, (body_framing{body_kind::length, 12}));
  EXPECT_TRUE(r.expect_continue);
  ASSERT_EQ(parse_request("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n", r),
            http1_error::none);
  EXPECT_EQ(r.body.kind, body_kind::chunked);
  ASSERT_EQ(parse_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", r),
            http1_error::none);
  EXPECT_FALSE(r.keep_alive);
  ASSERT_EQ(parse_request("GET / HTTP/1.0\r\n\r\n", r), http1_error::none);
  EXPECT_FALSE(r.keep_alive);
  ASSERT_EQ(parse_request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", r),
            http1_error::none);
  EXPECT_TRUE(r.keep_alive);
}

TEST(request_head, bounds_hold) {
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (std::size_t i = 1; i < max_fields; ++i)
    many += "X: y\r\n";
  EXPECT_EQ(error_of(many + "\r\n"), http1_error::none);
  EXPECT_EQ(error_of(many + "X: y\r\n\r\n"), http1_error::too_many_fields);
  auto big = "GET / HTTP/1.1\r\nHost: a\r\nX: "s;
  big += std::string(max_head_bytes - big.size() - 4, 'x');
  EXPECT_EQ(error_of(big + "\r\n\r\n"), http1_error::none);
  EXPECT_EQ(error_of(big + "x\r\n\r\n"), http1_error::head_too_large);
  EXPECT_EQ(error_of(std::string(max_head_bytes, 'x')), http1_error::head_too_large);
}

TEST(head_scanner, byte_by_byte_finds_the_same_end) {
  auto head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"s;
  auto all = head + "body";
  head_scanner scanner;
  for (std::size_t size = 0; size < head.size(); ++size)
    ASSERT_EQ(scanner.scan(std::string_view{all}.substr(0, size)).state, parse_state::need_more)
      << size;
  auto found = scanner.scan(all);
  EXPECT_EQ(found.state, parse_state::complete);
  EXPECT_EQ(found.size, head.size());
}

TEST(field_list, hop_by_hop_fields_are_the_fixed_ones_and_those_connection_names) {
  field_list fields;
  ASSERT_EQ(
    fields.parse("Connection: X-One, close\r\nX-One: 1\r\nX-Two: 2\r\nProxy-Authorization: x\r\n"
                 "Upgrade: y\r\nTE: trailers\r\n"),
    http1_error::none);
  std::string kept;
  for (const auto& f : fields)
    if (!fields.is_hop_by_hop(f))
      kept += f.name;
  EXPECT_EQ(kept, "X-Two");
  ASSERT_EQ(fields.parse("Connection: content-length\r\nContent-Length: 3\r\n"), http1_error::none);
  EXPECT_FALSE(fields.is_hop_by_hop(*(fields.begin() + 1)));
}

http1_error
parse_response(std::string_view head, response_head& out, std::string_view method = "GET") {
  return out.parse(head, method);
}

TEST(response_head, framing_depends_on_status_and_method) {
  response_head r;
  ASSERT_EQ(parse_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", r), http1_error::none);
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.reason, "OK");
  EXPECT_EQ(r.body, (body_framing{body_kind::length, 3}));
  EXPECT_TRUE(r.keep_alive);
  ASSERT_EQ(parse_response("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", r), http1_error::none);
  EXPECT_EQ(r.body.kind, body_kind::none);
  ASSERT_EQ(parse_response("HTTP/1.1 200 \r\n\r\n", r), http1_error::none);
  EXPECT_EQ(r.body.kind, body_kind::until_close);
  EXPECT_FALSE(r.keep_alive);
  ASSERT_EQ(parse_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", r, "HEAD"),
            http1_error::none);
  EXPECT_EQ(r.body.kind, body_kind::none);
  for (auto status : {"100", "101", "204", "304"}) {
    ASSERT_EQ(parse_response("HTTP/1.1 "s + status + " x\r\n\r\n", r), http1_error::none);
    EXPECT_EQ(r.body.kind, body_kind::none) << status;
    EXPECT_TRUE(r.keep_alive);
  }
  ASSERT_EQ(parse_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", r),
            http1_error::none);
  EXPECT_EQ(r.body.kind, body_kind::chunked);
}

TEST(response_head, malformed_ones_are_refused) {
  response_head r;
  for (auto head : {"HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 600 x\r\n\r\n",
                    "HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n",
                    "ICY 200 OK\r\n\r\n", "HTTP/1.1 200 a\x01\r\n\r\n", "HTTP/1.1 +20 OK\r\n\r\n",
                    "HTTP/1.1\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", "\r\n\r\n"})
    EXPECT_NE(parse_response(head, r), http1_error::none) << head;
}

TEST(http1_error_text, every_error_has_a_text_and_a_status) {
  for (int i = 0; i <= static_cast<int>(http1_error::trailer); ++i) {
    auto e = static_cast<http1_error>(i);
    EXPECT_FALSE(to_string(e).empty());
    EXPECT_GE(status_of(e), 400);
  }
  EXPECT_EQ(status_of(http1_error::too_many_fields), 431);
  EXPECT_EQ(status_of(http1_error::version), 505);
}

TEST(head_writer, writes_heads_that_no_value_can_split) {
  std::string out;
  head_writer{out}
    .request_line("GET", "/")
    .field("Host", "a\r\nX: y")
    .field("Content-Length", 12)
    .end();
  EXPECT_EQ(out, "GET / HTTP/1.1\r\nHost: a  X: y\r\nContent-Length: 12\r\n\r\n");
  out.clear();
  head_writer{out}.status_line(404).end();
  EXPECT_EQ(out, "HTTP/1.1 404 Not Found\r\n\r\n");
  EXPECT_EQ(reason_phrase(299), "Unknown");
  out.clear();
  write_chunk_size(out, 0x1a2b);
  write_last_chunk(out);
  EXPECT_EQ(out, "1a2b\r\n0\r\n\r\n");
}

TEST(begins_request, tells_http_from_what_else_comes_first) {
  for (const auto* yes : {"GET ", "GET / HTTP/1.1\r\n", "VERSION-CONTROL /x HTTP/1.1"})
    EXPECT_EQ(begins_request(yes), parse_state::complete) << yes;
  for (const auto* more : {"", "G", "OPTIONS", "ABCDEFGHIJKLMNOPQRSTUVWX"})
    EXPECT_EQ(begins_request(more), parse_state::need_more) << more;
  for (const auto* no : {" ", "get / HTTP/1.1", "SSH-2.0-x", "\x16\x03\x01", "GET\t/", "EHLO\r\n",
                         "ABCDEFGHIJKLMNOPQRSTUVWXY"})
    EXPECT_EQ(begins_request(no), parse_state::error) << no;
}

} // namespace
} // namespace marchproxy::wire

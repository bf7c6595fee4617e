// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/chunked.hpp"

#include <gtest/gtest.h>

#include <string>

namespace marchproxy::wire {
namespace {

struct decoded {
  std::string data;
  std::size_t consumed = 0;
  parse_state state = parse_state::need_more;
  http1_error error = http1_error::none;
};

/// Shows the decoder @p step bytes at a time.
decoded decode(std::string_view in, std::size_t step) {
  chunked_decoder decoder;
  decoded out;
  while (out.consumed < in.size() && out.state == parse_state::need_more) {
    auto piece = decoder.next(in.substr(out.consumed, step));
    out.data += piece.data;
    out.consumed += piece.consumed;
    out.state = piece.state;
    out.error = piece.error;
  }
  return out;
}

TEST(chunked_decoder, gives_the_data_however_it_arrives) {
  std::string_view in = "4\r\nWiki\r\n006;a=b;c=\"d\"\r\npedia \r\nE\r\nin "
                        "\r\n\r\nchunks.\r\n0\r\nX-T: 1\r\nY:\r\n\r\nGET /";
  for (std::size_t step : {1U, 2U, 3U, 7U, 1000U}) {
    auto out = decode(in, step);
    EXPECT_EQ(out.state, parse_state::complete);
    EXPECT_EQ(out.data, "Wikipedia in \r\n\r\nchunks.");
    EXPECT_EQ(in.substr(out.consumed), "GET /");
  }
}

TEST(chunked_decoder, refuses_what_could_be_read_in_two_ways) {
  using enum http1_error;
  struct row {
    std::string in;
    http1_error error;
  };
  for (const auto& [in, error] : std::initializer_list<row>{
         {"\r\n", chunk_size},
         {"x\r\n", chunk_size},
         {"-1\r\n", chunk_size},
         {"+1\r\n", chunk_size},
         {"0x1\r\n", chunk_size},
         {" 1\r\n", chunk_size},
         {"1 \r\n", chunk_size},
         {"1\n", chunk_size},
         {"1\rx", line_ending},
         {"1;a\n", chunk_extension},
         {"1;a\r\r", line_ending},
         {"1;\r\n", chunk_extension},
         {"1;;", chunk_extension},
         {"1; a", chunk_extension},
         {"1;a b", chunk_extension},
         {"1;a=\r\n", chunk_extension},
         {"1;a=;", chunk_extension},
         {"1;a=b=c", chunk_extension},
         {"1;a=\"b\r\n", chunk_extension},
         {"1;a=\"b\"c", chunk_extension},
         {"1;a=\"\\\r\n", chunk_extension},
         {"1;a(b)\r\n", chunk_extension},
         {"1;a=\"\x01\"", chunk_extension},
         {"1;a\x01", chunk_extension},
         {"1\r\nab\r\n", chunk_end},
         {"1\r\na\n", chunk_end},
         {"1\r\na\rx", chunk_end},
         {"1234567890abcdef\r\n", chunk_size},
         {"0\r\n X: y\r\n\r\n", trailer},
         {"0\r\nX : y\r\n\r\n", trailer},
         {"0\r\n: y\r\n\r\n", trailer},
         {"0\r\nX: y\n\r\n", trailer},
         {"0\r\n\n", trailer},
         {"0\r\n\rx", trailer},
         {"0\r\nX\r\n\r\n", trailer},
         {"1;" + std::string(5000, 'a'), chunk_extension},
         {"0\r\nX: " + std::string(9000, 'a'), trailer},
       }) {
    auto out = decode(in, 3);
    EXPECT_EQ(out.state, parse_state::error) << in.substr(0, 40);
    EXPECT_EQ(out.error, error) << in.substr(0, 40);
  }
}

TEST(chunked_decoder, extensions_are_read_and_dropped) {
  for (auto extension : {";a", ";a;b", ";a=b", ";a=b;c=d;e", ";a=\"\"", ";a=\"b;c=\\\" d\";e"}) {
    auto out = decode("1" + std::string{extension} + "\r\nx\r\n0" + extension + "\r\n\r\n", 1);
    EXPECT_EQ(out.state, parse_state::complete) << extension;
    EXPECT_EQ(out.data, "x");
  }
}

TEST(chunked_decoder, trailer_lines_are_given_however_they_arrive) {
  std::string_view in = "1\r\nx\r\n0\r\nX-T: 1\r\nY:\r\n\r\nrest";
  for (std::size_t step : {1U, 2U, 5U, 1000U}) {
    chunked_decoder decoder;
    std::string lines;
    for (std::size_t at = 0; at < in.size() && !decoder.done();) {
      auto piece = decoder.next(in.substr(at, step));
      lines += piece.trailer;
      at += piece.consumed;
    }
    EXPECT_EQ(lines, "X-T: 1\r\nY:\r\n") << step;
  }
}

TEST(chunked_decoder, stops_behind_the_last_chunk) {
  chunked_decoder decoder;
  EXPECT_EQ(decoder.next("0\r\n\r\nrest").consumed, 5U);
  EXPECT_TRUE(decoder.done());
  auto again = decoder.next("rest");
  EXPECT_EQ(again.consumed, 0U);
  EXPECT_EQ(again.state, parse_state::complete);
}

} // namespace
} // namespace marchproxy::wire

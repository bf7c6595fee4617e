// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/proxy_protocol.hpp"

#include <gtest/gtest.h>

namespace marchproxy::wire::proxy_protocol {
namespace {

using namespace std::string_literals;

const addresses four{*parse_ip("192.0.2.1"), 56324, *parse_ip("203.0.113.7"), 443};
const addresses six{*parse_ip("2001:db8::1"), 1, *parse_ip("2001:db8::2"), 65535};
const auto v2_begin = "\r\n\r\n\0\r\nQUIT\n"s;

void is_whole(const std::string& header, const std::optional<addresses>& of) {
  for (std::size_t size = 0; size < header.size(); ++size)
    EXPECT_EQ(parse(std::string_view{header}.substr(0, size)).state, parse_state::need_more)
      << size << " bytes of " << header;
  auto more = header + "GET";
  auto out = parse(more);
  EXPECT_EQ(out.state, parse_state::complete) << header;
  EXPECT_EQ(out.consumed, header.size());
  EXPECT_EQ(out.of, of);
}

TEST(proxy_protocol, lines_of_version_1) {
  is_whole("PROXY TCP4 192.0.2.1 203.0.113.7 56324 443\r\n", four);
  is_whole("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", six);
  is_whole("PROXY UNKNOWN\r\n", std::nullopt);
  is_whole("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", std::nullopt);
}

TEST(proxy_protocol, headers_of_version_2) {
  auto v4 = v2_begin + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xcb\x00\x71\x07\xdc\x04\x01\xbb"s;
  is_whole(v4, four);
  auto with_tlv = v4 + "\x04\x00\x01x"s;
  with_tlv[15] = '\x10';
  is_whole(with_tlv, four);
  is_whole(v2_begin + "\x20\x00\x00\x00"s, std::nullopt);
  is_whole(v2_begin + "\x21\x31\x00\x02hi"s, std::nullopt); // AF_UNIX
}

TEST(proxy_protocol, what_is_written_is_read) {
  for (auto v : {version::v1, version::v2}) {
    is_whole(write(v, four), four);
    is_whole(write(v, six), six);
    auto mixed = addresses{four.source, 1, six.destination, 2};
    is_whole(write(v, mixed), mixed); // held as IPv4 again
  }
}

TEST(proxy_protocol, malformed_headers_are_errors) {
  for (const auto& text : {
         "GET / HTTP/1.1\r\n"s,
         "PROXY\r\n"s,
         "PROXY TCP4\r\n"s,
         "PROXY TCP4 192.0.2.1 203.0.113.7 56324\r\n"s,
         "PROXY TCP4 192.0.2.1 203.0.113.7 56324 443 1\r\n"s,
         "PROXY TCP4  192.0.2.1 203.0.113.7 56324 443\r\n"s,
         "PROXY TCP4 192.0.2.1 203.0.113.7 056 443\r\n"s,
         "PROXY TCP4 192.0.2.1 203.0.113.7 65536 443\r\n"s,
         "PROXY TCP4 192.0.2.1 203.0.113.7 -1 443\r\n"s,
         "PROXY TCP4 192.0.2.01 203.0.113.7 1 443\r\n"s,
         "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"s,
         "PROXY TCP6 192.0.2.1 203.0.113.7 1 2\r\n"s,
         "PROXY UDP4 192.0.2.1 203.0.113.7 1 2\r\n"s,
         "PROXY TCP4 192.0.2.1 203.0.113.7 1 2\n"s + std::string(max_v1, ' '),
         "PROXY UNKNOWN "s + std::string(max_v1, 'x'),
         "PROXY UNKNOWNS\r\n"s,
         v2_begin + "\x11\x11\x00\x0c"s, // version 1 in a version 2 header
         v2_begin + "\x22\x11\x00\x0c"s, // unknown command
         v2_begin + "\x21\x41\x00\x0c"s, // unknown family
         v2_begin + "\x21\x13\x00\x0c"s, // unknown transport
         v2_begin + "\x21\x11\x00\x0b"s, // too short for its addresses
         v2_begin + "\x21\x21\x00\x0c"s, // likewise
         v2_begin + "\x20\x00\xff\xff"s, // more than we hold
         "\r\n\r\n\0\r\nQUIX"s,
       })
    EXPECT_EQ(parse(text).state, parse_state::error) << text;
}

TEST(proxy_protocol, a_header_for_nobody_names_nobody) {
  for (const auto v : {version::v1, version::v2}) {
    const auto text = write_for_nobody(v);
    const auto got = parse(text);
    EXPECT_EQ(got.state, parse_state::complete);
    EXPECT_EQ(got.consumed, text.size());
    EXPECT_FALSE(got.of);
  }
  EXPECT_EQ(write_for_nobody(version::v1), "PROXY UNKNOWN\r\n");
}

} // namespace
} // namespace marchproxy::wire::proxy_protocol

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/socks5.hpp"

#include <gtest/gtest.h>

#include <string>

namespace marchproxy::wire::socks5 {
namespace {

using namespace std::string_literals;

template <class Parse>
void needs_every_byte(const std::string& whole, Parse parse) {
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(parse(std::string_view{whole}.substr(0, size)).state, parse_state::need_more) << size;
  auto more = whole + "more";
  auto out = parse(std::string_view{more});
  EXPECT_EQ(out.state, parse_state::complete);
  EXPECT_EQ(out.consumed, whole.size());
}

TEST(socks5, greeting_lists_methods) {
  auto in = "\x05\x02\x00\x02"s;
  needs_every_byte(in, parse_greeting);
  auto out = parse_greeting(in).value;
  EXPECT_TRUE(out.offers(method::none));
  EXPECT_TRUE(out.offers(method::username_password));
  EXPECT_FALSE(out.offers(method::unacceptable));
  EXPECT_EQ(parse_greeting("\x04\x01"s).state, parse_state::error);
  EXPECT_EQ(parse_greeting("\x05\x00"s).state, parse_state::error);
}

TEST(socks5, credentials_are_two_texts) {
  auto in = "\x01\x03web\x05token"s;
  needs_every_byte(in, parse_credentials);
  auto out = parse_credentials(in).value;
  EXPECT_EQ(out.username, "web");
  EXPECT_EQ(out.password, "token");
  EXPECT_EQ(parse_credentials("\x05\x01"s).state, parse_state::error);
  EXPECT_EQ(parse_credentials("\x01\x00\x01x"s).state, parse_state::error);
  EXPECT_EQ(parse_credentials("\x01\x01x\x00"s).state, parse_state::complete);
}

TEST(socks5, request_names_its_target_in_three_ways) {
  auto v4 = "\x05\x01\x00\x01\x0a\x00\x00\x01\x01\xbb"s;
  needs_every_byte(v4, parse_request);
  EXPECT_EQ(parse_request(v4).value.target.text(), "10.0.0.1:443");
  auto v6 = "\x05\x01\x00\x04"s + std::string(15, '\0') + "\x01\x00\x50"s;
  needs_every_byte(v6, parse_request);
  EXPECT_EQ(parse_request(v6).value.target.text(), "[::1]:80");
  auto name = "\x05\x01\x00\x03\x0b"s + "Example.org" + "\x00\x50"s;
  needs_every_byte(name, parse_request);
  EXPECT_EQ(parse_request(name).value.target.text(), "example.org:80");
  auto literal = "\x05\x03\x00\x03\x03"s + "::1" + "\x00\x50"s;
  EXPECT_EQ(parse_request(literal).value.target.host.address(), parse_ip("::1"));
  EXPECT_EQ(parse_request(literal).value.command, command::udp_associate);
}

TEST(socks5, bad_requests_say_what_to_reply) {
  EXPECT_EQ(parse_request("\x04\x01\x00\x01\x00"s).state, parse_state::error);
  EXPECT_EQ(parse_request("\x05\x09\x00\x01\x00"s).reply, reply_code::command_not_supported);
  EXPECT_EQ(parse_request("\x05\x01\x00\x02\x00"s).reply, reply_code::address_type_not_supported);
  for (auto name : {"127.1"s, "a b"s, "2130706433"s, "a\0b"s, ""s}) {
    auto in = "\x05\x01\x00\x03"s + static_cast<char>(name.size()) + name + "\x00\x50"s;
    EXPECT_EQ(parse_request(in).state, parse_state::error) << name;
  }
}

TEST(socks5, replies_carry_the_bound_address) {
  EXPECT_EQ(reply(reply_code::succeeded, *parse_ip("10.0.0.1"), 443).view(),
            "\x05\x00\x00\x01\x0a\x00\x00\x01\x01\xbb"s);
  EXPECT_EQ(reply(reply_code::not_allowed).view(), "\x05\x02\x00\x01"s + std::string(6, '\0'));
  EXPECT_EQ(reply(reply_code::succeeded, *parse_ip("::1"), 80).view().size(), 22U);
  EXPECT_EQ(method_reply(method::unacceptable)[1], '\xff');
  EXPECT_EQ(credentials_reply(false)[1], 1);
}

TEST(socks5, datagrams_name_their_target) {
  const auto by_address = "\0\0\0\x01\x08\x08\x08\x08\x00\x35query"s;
  auto v4 = parse_datagram(by_address);
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->target.text(), "8.8.8.8:53");
  EXPECT_EQ(v4->data, "query");
  const auto by_name = "\0\0\0\x03\x0b"
                       "example.org\x01\xbb"s;
  auto name = parse_datagram(by_name);
  ASSERT_TRUE(name);
  EXPECT_EQ(name->target.text(), "example.org:443");
  EXPECT_EQ(name->data, "");
  for (const auto& wrong : {
         ""s, "\0\0\0\x01"s,
         "\0\0\x01\x01\x08\x08\x08\x08\x00\x35query"s, // a fragment
         "\0\x01\0\x01\x08\x08\x08\x08\x00\x35query"s, // reserved bytes
         "\0\0\0\x02\x08\x08\x08\x08\x00\x35query"s,   // no such type
         "\0\0\0\x01\x08\x08\x08\x08\x00\x00query"s,   // port 0
         "\0\0\0\x01\x08\x08\x08\x08\x00"s,            // cut off
         "\0\0\0\x03\x03"
         "a b\x00\x35"s, // no host name
       })
    EXPECT_FALSE(parse_datagram(wrong)) << wrong.size();
}

TEST(socks5, datagram_heads_are_read_back) {
  for (const auto* text : {"192.0.2.7", "2001:db8::7"}) {
    auto address = *parse_ip(text);
    const auto whole = std::string{datagram_head(address, 4711).view()} + "data";
    auto back = parse_datagram(whole);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->target.host.address(), address);
    EXPECT_EQ(back->target.port, 4711);
    EXPECT_EQ(back->data, "data");
  }
}

} // namespace
} // namespace marchproxy::wire::socks5

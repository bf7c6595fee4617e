// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/netd/messages.hpp"

#include "nodes/net/local_channel.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace marchproxy::netd {
namespace {

const net::endpoint v4{*parse_ip("192.0.2.1"), 443};
const net::endpoint v6{*parse_ip("2001:db8::1"), 53};

std::vector<request> one_of_each() {
  return {probe{},
          load_tc{{.connections = 4096, .connections_of_source = 17, .forwards = true}},
          load_xdp{},
          make_image{3},
          make_counter_block{},
          attach_tc{2},
          detach_tc{3},
          attach_xdp{4, tier_ebpf::xdp_mode::generic},
          detach_xdp{5, tier_ebpf::xdp_mode::native},
          listen_tcp{v4, {.backlog = 7, .reuse_port = false, .transparent = true}},
          bind_udp{v6, {.reuse_port = true, .transparent = false}},
          widen_receive_buffer{4 << 20},
          clear_xdp{6}};
}

TEST(netd_messages, each_request_comes_back_as_it_was) {
  const auto all = one_of_each();
  ASSERT_EQ(all.size(), std::variant_size_v<request>);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].index(), i);
    const auto bytes = encode(all[i]);
    const auto again = decode_request(bytes);
    ASSERT_TRUE(again) << i;
    EXPECT_EQ(again->index(), i);
    EXPECT_EQ(encode(*again), bytes) << i;
  }
}

TEST(netd_messages, values_arrive) {
  const auto tcp = std::get<listen_tcp>(*decode_request(encode(one_of_each()[9])));
  EXPECT_EQ(tcp.at, v4);
  EXPECT_EQ(tcp.options.backlog, 7);
  EXPECT_FALSE(tcp.options.reuse_port);
  EXPECT_TRUE(tcp.options.transparent);
  const auto udp = std::get<bind_udp>(*decode_request(encode(one_of_each()[10])));
  EXPECT_EQ(udp.at, v6);
  const auto xdp = std::get<attach_xdp>(*decode_request(encode(one_of_each()[7])));
  EXPECT_EQ(xdp.ifindex, 4);
  EXPECT_EQ(xdp.mode, tier_ebpf::xdp_mode::generic);
  const auto tc = std::get<load_tc>(*decode_request(encode(one_of_each()[1])));
  EXPECT_EQ(tc.options.connections, 4096U);
  EXPECT_EQ(tc.options.connections_of_source, 17U);
  EXPECT_TRUE(tc.options.forwards);
}

TEST(netd_messages, requests_with_a_byte_too_few_or_too_many_are_none) {
  for (const auto& r : one_of_each()) {
    const auto bytes = encode(r);
    EXPECT_FALSE(decode_request(bytes + '\0')) << r.index();
    for (std::size_t i = 0; i < bytes.size(); ++i)
      EXPECT_FALSE(decode_request(std::string_view{bytes}.substr(0, i))) << r.index();
  }
}

TEST(netd_messages, values_beyond_their_bounds_are_refused) {
  for (const request& r : std::vector<request>{
         attach_tc{0}, attach_tc{-1}, detach_xdp{0, {}}, make_image{0}, make_image{most_pages + 1},
         load_tc{{.connections = 0}}, load_tc{{.connections = most_connections + 1}},
         load_tc{{.connections_of_source = 0}}, listen_tcp{v4, {.backlog = 0}},
         listen_tcp{v4, {.backlog = longest_backlog + 1}}, widen_receive_buffer{0},
         widen_receive_buffer{widest_buffer + 1}})
    EXPECT_FALSE(decode_request(encode(r))) << r.index();
  EXPECT_FALSE(decode_request(std::string{'\x63'}));
  for (char version : {'\0', '\5', '\7'}) {
    auto of_no_family = encode(one_of_each()[10]);
    of_no_family[1] = version;
    EXPECT_FALSE(decode_request(of_no_family)) << static_cast<int>(version);
  }
  auto longer_than_v4 = encode(one_of_each()[9]);
  longer_than_v4[10] = 1;
  EXPECT_FALSE(decode_request(longer_than_v4));
  auto neither_yes_nor_no = encode(one_of_each()[10]);
  neither_yes_nor_no.back() = 2;
  EXPECT_FALSE(decode_request(neither_yes_nor_no));
}

TEST(netd_messages, each_reply_comes_back_as_it_was) {
  for (const reply& r : {reply{given{given_kind::map, "flows"}}, reply{given{}},
                         reply{done{{{{"kernel", true, "Linux"}, {"tc", false, "not there"}}}}},
                         reply{done{}}, reply{error{errc::conflict, "another", {}}}}) {
    const auto again = decode_reply(encode(r));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->index(), r.index());
    EXPECT_EQ(encode(*again), encode(r));
  }
  EXPECT_FALSE(decode_reply(""));
  EXPECT_FALSE(decode_reply(encode(reply{done{}}) + "x"));
}

TEST(netd_messages, a_reply_fits_into_a_message_whatever_it_says) {
  tier_ebpf::probe_report report;
  for (int i = 0; i < 20; ++i)
    report.checks.push_back({std::string(10'000, 'n'), false, std::string(10'000, 'd')});
  EXPECT_LE(encode(reply{done{report}}).size(), net::local_channel::max_message);
  EXPECT_TRUE(decode_reply(encode(reply{done{report}})));
  const reply long_error{error{errc::unsupported, std::string(100'000, 'v'), {}}};
  EXPECT_LE(encode(long_error).size(), net::local_channel::max_message);
  EXPECT_TRUE(decode_reply(encode(long_error)));
}

} // namespace
} // namespace marchproxy::netd

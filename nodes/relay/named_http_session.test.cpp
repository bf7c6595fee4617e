// SPDX-License-Identifier: AGPL-3.0-only
// Plain HTTP on a transparent port where only names are allowed (docs/adr/0005-server-names.md).
#include "nodes/relay/forward_fixture.test.hpp"
#include "nodes/relay/transparent_fixture.test.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;

class named_http : public transparent {
protected:
  peer to_web(const std::string& address = "192.0.2.1") { return diverted(address, web.port); }
  static std::string request(const std::string& host, const std::string& path = "/") {
    return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
  }
  static std::string status(peer& p) { return answer(p).first.substr(9, 3); }

  origin web{mirror};
};

TEST_F(named_http, goes_by_the_name_in_host_to_an_address_that_it_has) {
  allow_name("origin.test");
  run(set.snapshot());
  auto p = to_web();
  p.send(request("Origin.test", "/a?b"));
  auto [head, seen] = answer(p);
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\n")) << head;
  EXPECT_EQ(seen, "GET /a?b HTTP/1.1\r\nHost: origin.test\r\nVia: 1.1 marchproxy\r\n\r\n");
  auto told = ended();
  EXPECT_EQ(told.via, entry::transparent);
  EXPECT_EQ(told.asked, at(web.port, "192.0.2.1"));
  EXPECT_EQ(told.name, "origin.test");
  EXPECT_EQ(told.sni, "");
  EXPECT_EQ(told.address, parse_ip("127.0.0.1"));
  EXPECT_EQ(told.port, web.port);
  EXPECT_EQ(told.why, reason::mapping_allow);
}

TEST_F(named_http, each_request_of_a_connection_is_judged_by_its_own_name) {
  allow_name("origin.test");
  run(set.snapshot());
  auto p = to_web();
  for (const auto& [host, said, why] : {std::tuple{"origin.test", "200", reason::mapping_allow},
                                        std::tuple{"denied.test", "403", reason::implicit_deny},
                                        std::tuple{"origin.test:81", "200", reason::mapping_allow},
                                        std::tuple{"127.0.0.1", "403", reason::implicit_deny},
                                        std::tuple{"origin.test", "200", reason::mapping_allow}}) {
    p.send(request(host));
    EXPECT_EQ(status(p), said) << host;
    EXPECT_EQ(ended().why, why) << host;
  }
  EXPECT_EQ(web.connections, 1);
}

TEST_F(named_http, requests_sent_at_once_are_judged_one_by_one) {
  allow_name("origin.test");
  run(set.snapshot());
  auto p = to_web();
  p.send(request("origin.test") + request("denied.test") + request("origin.test", "/last"));
  EXPECT_EQ(status(p), "200");
  EXPECT_EQ(status(p), "403");
  EXPECT_TRUE(answer(p).second.starts_with("GET /last "));
}

TEST_F(named_http, the_name_in_a_whole_url_is_the_one_that_counts) {
  allow_name("origin.test");
  run(set.snapshot());
  auto p = to_web();
  p.send("GET http://origin.test/x HTTP/1.1\r\nHost: denied.test\r\n\r\n");
  EXPECT_EQ(answer(p).second,
            "GET /x HTTP/1.1\r\nHost: origin.test\r\nVia: 1.1 marchproxy\r\n\r\n");
  p.send("GET http://denied.test/x HTTP/1.1\r\nHost: origin.test\r\n\r\n");
  EXPECT_EQ(status(p), "403");
}

TEST_F(named_http, the_verdict_is_that_of_now) {
  allow_name("origin.test");
  run(set.snapshot());
  auto p = to_web();
  p.send(request("origin.test"));
  EXPECT_EQ(status(p), "200");
  rules none{2};
  none.mapping(none.service("client", "127.0.0.1/32"), none.service("other", "other.test"));
  turn_to(none.snapshot());
  p.send(request("origin.test"));
  EXPECT_EQ(status(p), "403");
}

TEST_F(named_http, a_name_that_leads_to_a_private_range_is_refused_unless_its_mapping_says_so) {
  set.mapping(client_, set.service("origin", "origin.test"));
  run(set.snapshot());
  auto p = to_web();
  p.send(request("origin.test"));
  EXPECT_EQ(status(p), "403");
  EXPECT_EQ(ended().why, reason::private_destination);
  EXPECT_EQ(web.connections, 0);
}

TEST_F(named_http, a_head_may_come_byte_by_byte) {
  allow_name("origin.test");
  run(set.snapshot());
  auto p = to_web();
  for (char c : request("origin.test"))
    ASSERT_TRUE(p.send({&c, 1}));
  EXPECT_EQ(status(p), "200");
}

TEST_F(named_http, what_is_no_request_for_a_path_is_one_refused_flow) {
  allow_name("origin.test");
  run(set.snapshot());
  for (const auto* bad : {"GET / HTTP/1.1\r\n\r\n", "GET  / HTTP/1.1\r\nHost: origin.test\r\n\r\n",
                          "CONNECT origin.test:80 HTTP/1.1\r\nHost: origin.test:80\r\n\r\n",
                          "GET https://origin.test/ HTTP/1.1\r\nHost: origin.test\r\n\r\n",
                          "GET / HTTP/1.1\r\nHost: origin.test\r\nHost: denied.test\r\n\r\n"}) {
    auto p = to_web();
    p.send(bad);
    EXPECT_EQ(p.until("\r\n\r\n").substr(9, 3), "400") << bad;
    auto told = ended();
    EXPECT_EQ(told.why, reason::bad_request) << bad;
    EXPECT_EQ(told.via, entry::transparent);
  }
  EXPECT_EQ(web.connections, 0);
}

TEST_F(named_http, without_a_name_it_is_judged_by_where_it_went) {
  allow_name("origin.test");
  run(set.snapshot());
  auto old = diverted("127.0.0.1", web.port);
  old.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(status(old), "403");
  EXPECT_EQ(ended().why, reason::implicit_deny);
  EXPECT_EQ(web.connections, 0);
}

TEST_F(named_http, who_goes_before_a_whole_request_leaves_one_record) {
  settings.head_timeout = 100ms;
  allow_name("origin.test");
  run(set.snapshot());
  auto slow = to_web();
  slow.send("GET"); // the space would make it HTTP
  EXPECT_EQ(slow.all(), "");
  auto told = ended();
  EXPECT_EQ(told.why, reason::implicit_deny);
  EXPECT_EQ(told.revision, revision{1});
  auto gone = to_web();
  gone.send("GET / HT");
  gone.close();
  told = ended();
  EXPECT_EQ(told.why, reason::implicit_deny);
  EXPECT_EQ(told.revision, revision{1});
  auto late = to_web();
  late.send("GET / HT");
  EXPECT_EQ(late.until("\r\n\r\n").substr(9, 3), "408");
  EXPECT_EQ(ended().why, reason::bad_request);
}

TEST_F(named_http, a_client_may_pause_and_is_still_known_by_its_way_in) {
  settings.rest_after = 1ms;
  allow_name("origin.test");
  run(set.snapshot());
  auto p = to_web();
  p.send(request("origin.test"));
  EXPECT_EQ(status(p), "200");
  const auto paused = std::chrono::steady_clock::now();
  ASSERT_TRUE(eventually([&] { return std::chrono::steady_clock::now() > paused + 50ms; }));
  p.send(request("origin.test"));
  EXPECT_EQ(status(p), "200");
}

TEST_F(named_http, an_address_that_is_allowed_is_not_looked_into) {
  set.mapping(client_, set.service("address", "127.0.0.1/32"));
  allow_name("origin.test");
  run(set.snapshot());
  auto p = diverted("127.0.0.1", behind.port);
  EXPECT_TRUE(echoes(p, request("denied.test")));
}

} // namespace
} // namespace marchproxy::relay

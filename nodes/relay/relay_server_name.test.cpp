// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/relay_fixture.test.hpp"
#include "nodes/wire/openssl_hello.test.hpp"

#include <netinet/tcp.h>

namespace marchproxy::relay {
namespace {

using namespace testing;
using wire::testing::in_records;
using wire::testing::openssl_hello;

const auto denied_alert = "\x15\x03\x03\0\x02\x02\x31"s;       // access_denied
const auto decode_alert = "\x15\x03\x03\0\x02\x02\x32"s;       // decode_error
const auto unrecognized_alert = "\x15\x03\x03\0\x02\x02\x70"s; // unrecognized_name

std::string hello(const std::string& name) {
  return openssl_hello({name, {}, 0});
}

std::string encrypted_hello(const std::string& outer) {
  return wire::testing::with_feigned_ech(hello(outer));
}

/// `client` may reach origin.test and private.test, which are 127.0.0.1.
class relay_server_name : public relaying {
protected:
  relay_server_name() {
    client = set.service("client", "127.0.0.1/32");
    set.mapping(client, set.service("origin", "origin.test")).allow_private = true;
    set.mapping(client, set.service("private", "private.test")).allow_private = true;
  }
  void deny() {
    set.mapping(client, set.service("denied", "denied.test"), model::mapping_action::deny);
  }
  void allow_address() { set.mapping(client, set.service("address", "127.0.0.1/32")); }

  peer tunnel_to(const std::string& host) {
    auto p = dial();
    EXPECT_TRUE(connect(p, at(server_behind.port, host)).starts_with("HTTP/1.1 200"));
    return p;
  }
  /// Whether what is sent comes back: it reached the origin.
  static bool echoes(peer& p, const std::string& text) {
    return p.send(text) && p.exactly(text.size()) == text;
  }
  std::uint64_t counted(reason why) const {
    return server->totals().reasons[static_cast<std::size_t>(why)];
  }

  rules set;
  service_id client;
  origin server_behind{echo};
};

TEST_F(relay_server_name, that_is_the_name_asked_for_goes_on) {
  start(set.snapshot());
  for (const auto& name : {"origin.test", "Origin.TEST", "origin.test."}) {
    auto p = tunnel_to("origin.Test");
    EXPECT_TRUE(echoes(p, hello(name))) << name;
    EXPECT_TRUE(echoes(p, "and what follows"));
  }
  ASSERT_TRUE(eventually([&] { return records().size() == 3; }));
  for (const auto& r : records()) {
    EXPECT_EQ(r.sni, "origin.test");
    EXPECT_EQ(r.why, reason::mapping_allow);
    EXPECT_TRUE(r.allowed);
  }
}

TEST_F(relay_server_name, that_no_mapping_allows_is_refused_with_an_alert_and_nothing_was_sent) {
  std::atomic<std::size_t> got{0};
  std::atomic<bool> ended{false};
  origin silent{[&](peer& p) {
    got += p.all().size();
    ended = true;
  }};
  start(set.snapshot());
  auto p = dial();
  connect(p, at(silent.port, "origin.test"));
  p.send(hello("elsewhere.test"));
  EXPECT_EQ(p.all(), unrecognized_alert);
  EXPECT_TRUE(eventually([&] { return ended.load(); }));
  EXPECT_EQ(got, 0U);
  auto r = record();
  EXPECT_FALSE(r.allowed);
  EXPECT_EQ(r.why, reason::sni_mismatch);
  EXPECT_EQ(r.name, "origin.test");
  EXPECT_EQ(r.sni, "elsewhere.test");
  EXPECT_EQ(r.mapping, mapping_id{});
  EXPECT_EQ(r.revision, revision{1});
  EXPECT_EQ(r.bytes_up, 0U);
  EXPECT_EQ(counted(reason::sni_mismatch), 1U);
  EXPECT_EQ(server->totals().denied, 1U);
  p.close();
  EXPECT_TRUE(eventually([&] { return server->totals().open == 0; }));
}

TEST_F(relay_server_name, another_that_the_policy_allows_goes_on) {
  start(set.snapshot());
  auto p = tunnel_to("origin.test");
  EXPECT_TRUE(echoes(p, hello("private.test")));
}

TEST_F(relay_server_name, that_a_mapping_denies_names_the_mapping) {
  deny();
  start(set.snapshot());
  auto p = tunnel_to("origin.test");
  p.send(hello("denied.test"));
  EXPECT_EQ(p.all(), denied_alert);
  auto r = record();
  EXPECT_EQ(r.why, reason::mapping_deny);
  EXPECT_EQ(r.mapping, mapping_id{3});
  EXPECT_EQ(server->totals().mappings[mapping_id{3}], (mapping_count{0, 1}));
}

TEST_F(relay_server_name, none_and_no_tls_disagree_with_nothing) {
  start(set.snapshot());
  for (const auto& text : {hello(""), "GET / HTTP/1.1\r\n\r\n"s, "\x16"s + "x", "\x80\x2e\x01"s}) {
    auto p = tunnel_to("origin.test");
    EXPECT_TRUE(echoes(p, text));
  }
}

TEST_F(relay_server_name, servers_that_speak_first_are_heard) {
  origin greeting{[](peer& p) {
    p.send("220 ready\r\n");
    echo(p);
  }};
  start(set.snapshot());
  auto p = dial();
  connect(p, at(greeting.port, "origin.test"));
  EXPECT_EQ(p.exactly(11), "220 ready\r\n");
  EXPECT_TRUE(echoes(p, "EHLO client\r\n"));
  EXPECT_TRUE(echoes(p, hello("elsewhere.test"))); // STARTTLS: not the connection's first bytes
  // A hello is judged all the same, but an alert does not fit into what the server has begun.
  auto q = dial();
  connect(q, at(greeting.port, "origin.test"));
  EXPECT_EQ(q.exactly(11), "220 ready\r\n");
  q.send(hello("elsewhere.test"));
  EXPECT_EQ(q.all(), "");
  EXPECT_EQ(record().why, reason::sni_mismatch);
}

TEST_F(relay_server_name, a_client_that_ends_without_a_word_ends_the_tunnel) {
  start(set.snapshot());
  auto p = tunnel_to("origin.test");
  p.shut_down();
  EXPECT_EQ(p.all(), "");
  EXPECT_EQ(record().why, reason::mapping_allow);
}

TEST_F(relay_server_name, is_read_from_a_hello_in_single_bytes_and_in_several_records) {
  start(set.snapshot());
  auto drip = [](const peer& p, const std::string& text) {
    int yes = 1;
    setsockopt(p.fd(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    for (char c : text)
      if (!p.send({&c, 1}))
        return false;
    return true;
  };
  for (const auto& good :
       {hello("origin.test"), in_records(hello("origin.test"), "\x01\x64\x7f")}) {
    auto p = tunnel_to("origin.test");
    EXPECT_TRUE(drip(p, good));
    EXPECT_EQ(p.exactly(good.size()), good);
  }
  for (const auto& bad :
       {hello("elsewhere.test"), in_records(hello("elsewhere.test"), "\x01\x64\x7f")}) {
    auto p = tunnel_to("origin.test");
    drip(p, bad);
    EXPECT_EQ(p.all(), unrecognized_alert);
  }
}

TEST_F(relay_server_name, a_hello_that_cannot_be_read_is_refused) {
  settings.head_timeout = 100ms;
  start(set.snapshot());
  auto silent = tunnel_to("origin.test");
  auto whole = hello("origin.test");
  auto malformed = whole;
  malformed[9 + 2 + 32] = 33; // the session id's length
  for (const auto& text : {malformed, whole.substr(0, 40), "\x15\x03\x01\0\x02\x01\0"s + whole}) {
    auto p = tunnel_to("origin.test");
    p.send(text);
    EXPECT_EQ(p.all(), decode_alert);
  }
  auto cut = tunnel_to("origin.test");
  cut.send(whole.substr(0, 40));
  cut.shut_down();
  EXPECT_EQ(cut.all(), decode_alert);
  ASSERT_TRUE(eventually([&] { return records().size() == 4; }));
  for (const auto& r : records())
    EXPECT_EQ(r.why, reason::bad_hello);
  EXPECT_TRUE(echoes(silent, whole)); // one that says nothing is not hurried
}

TEST_F(relay_server_name, counts_for_an_address_only_where_a_mapping_denies_names) {
  allow_address();
  start(set.snapshot());
  auto p = tunnel_to("127.0.0.1");
  EXPECT_TRUE(echoes(p, hello("denied.test")));
  p.close();
  EXPECT_EQ(record().sni, "");
  deny();
  publish(set.snapshot());
  auto q = tunnel_to("127.0.0.1");
  EXPECT_TRUE(echoes(q, hello("elsewhere.test")));
  q.close();
  ASSERT_TRUE(eventually([&] { return records().size() == 2; }));
  auto r = tunnel_to("127.0.0.1");
  r.send(hello("denied.test"));
  EXPECT_EQ(r.all(), denied_alert);
  ASSERT_TRUE(eventually([&] { return records().size() == 3; }));
  EXPECT_EQ(records()[1].sni, "elsewhere.test");
  EXPECT_EQ(records()[1].name, "");
  EXPECT_EQ(records()[2].why, reason::mapping_deny);
  EXPECT_EQ(records()[2].mapping, mapping_id{4});
}

TEST_F(relay_server_name, is_not_looked_at_in_a_flow_that_bypasses) {
  deny();
  set.mapping(client, set.service("address", "127.0.0.1/32"), model::mapping_action::bypass);
  start(set.snapshot());
  auto p = tunnel_to("127.0.0.1");
  EXPECT_TRUE(echoes(p, hello("denied.test")));
  p.close();
  auto r = record();
  EXPECT_EQ(r.why, reason::mapping_bypass);
  EXPECT_EQ(r.sni, "");
  EXPECT_TRUE(r.allowed);
}

TEST_F(relay_server_name, encrypted_is_refused_only_where_the_verdict_depends_on_it) {
  allow_address();
  deny();
  start(set.snapshot());
  auto by_name = tunnel_to("origin.test");
  EXPECT_TRUE(echoes(by_name, encrypted_hello("origin.test")));
  auto by_address = tunnel_to("127.0.0.1");
  by_address.send(encrypted_hello("origin.test"));
  EXPECT_EQ(by_address.all(), denied_alert);
  EXPECT_EQ(record().why, reason::ech_refused);
}

TEST_F(relay_server_name, the_outer_one_counts_when_told_so) {
  settings.ech = ech_policy::outer;
  allow_address();
  deny();
  start(set.snapshot());
  auto p = tunnel_to("127.0.0.1");
  EXPECT_TRUE(echoes(p, encrypted_hello("origin.test")));
  auto q = tunnel_to("127.0.0.1");
  q.send(encrypted_hello("denied.test"));
  EXPECT_EQ(q.all(), denied_alert);
}

TEST_F(relay_server_name, it_counts_where_our_resolver_told_that_address_for_it) {
  settings.ech = ech_policy::strip;
  settings.told = std::make_shared<net::lease_store>(net::lease_terms{});
  const auto told = [&](const char* name, const char* address) {
    settings.told->put(name, {{*parse_ip(address)}, net::clock::now() + std::chrono::hours{1}, {}});
  };
  told("told.test", "127.0.0.1");
  told("elsewhere.test", "127.0.0.2");
  told("denied.test", "127.0.0.1");
  allow_address();
  deny();
  start(set.snapshot());
  auto feigned = tunnel_to("127.0.0.1");
  EXPECT_TRUE(echoes(feigned, encrypted_hello("told.test")));
  for (const auto& [name, why] : {std::pair{"never.test", reason::ech_refused},
                                  {"elsewhere.test", reason::ech_refused},
                                  {"denied.test", reason::mapping_deny}}) {
    auto p = tunnel_to("127.0.0.1");
    const auto before = counted(why);
    p.send(encrypted_hello(name));
    EXPECT_EQ(p.all(), denied_alert) << name;
    EXPECT_TRUE(eventually([&, reason_of = why] { return counted(reason_of) > before; })) << name;
  }
  auto plain = tunnel_to("127.0.0.1");
  EXPECT_TRUE(echoes(plain, hello("never.test"))) << "nothing is hidden";
}

TEST_F(relay_server_name, a_new_revision_judges_it_again) {
  start(set.snapshot());
  auto same = tunnel_to("origin.test");
  EXPECT_TRUE(echoes(same, hello("origin.test")));
  auto other = tunnel_to("origin.test");
  EXPECT_TRUE(echoes(other, hello("private.test")));
  rules later{2};
  auto from = later.service("client", "127.0.0.1/32");
  later.mapping(from, later.service("origin", "origin.test")).allow_private = true;
  publish(later.snapshot());
  EXPECT_EQ(other.all(), "");
  EXPECT_EQ(record().why, reason::revision_changed);
  EXPECT_TRUE(echoes(same, "still here"));
}

TEST_F(relay_server_name, of_a_client_that_was_silent_counts_when_a_later_revision_denies_names) {
  allow_address();
  start(set.snapshot());
  auto silent = tunnel_to("127.0.0.1");
  auto begun = tunnel_to("127.0.0.1");
  EXPECT_TRUE(echoes(begun, "x"));
  deny();
  publish(set.snapshot());
  silent.send(hello("denied.test"));
  EXPECT_EQ(silent.all(), denied_alert);
  EXPECT_TRUE(echoes(begun, hello("denied.test"))); // no longer the first bytes
}

TEST_F(relay_server_name, socks_tunnels_are_no_other) {
  deny();
  start(set.snapshot());
  auto tunnel = [&] {
    auto p = dial();
    auto port = server_behind.port;
    p.send("\x05\x01\0\x05\x01\0\x03\x0borigin.test"s + static_cast<char>(port >> 8)
           + static_cast<char>(port & 0xff));
    EXPECT_EQ(p.exactly(12).substr(0, 4), "\x05\0\x05\0"s);
    return p;
  };
  auto good = tunnel();
  EXPECT_TRUE(echoes(good, hello("origin.test")));
  auto bad = tunnel();
  bad.send(hello("elsewhere.test"));
  EXPECT_EQ(bad.all(), unrecognized_alert);
  auto denied = tunnel();
  denied.send(hello("denied.test"));
  EXPECT_EQ(denied.all(), denied_alert);
}

TEST_F(relay_server_name, of_a_listener_s_client_is_only_ever_denied) {
  deny();
  auto listen = closed_port();
  set.mapping(client, set.service("listening", "127.0.0.1/32", listen, server_behind.port));
  start(set.snapshot());
  auto p = peer::to(listen);
  EXPECT_TRUE(echoes(p, hello("proxy.test")));
  auto q = peer::to(listen);
  q.send(hello("denied.test"));
  EXPECT_EQ(q.all(), denied_alert);
}

TEST_F(relay_server_name, bulk_behind_the_hello_arrives_whole) {
  start(set.snapshot());
  auto p = tunnel_to("origin.test");
  EXPECT_TRUE(echoes(p, hello("origin.test")));
  std::string bulk(std::size_t{8} * 1024 * 1024, '\0');
  for (std::size_t i = 0; i < bulk.size(); ++i)
    bulk[i] = static_cast<char>((i * 2654435761U) >> 13);
  std::thread writer{[&] { EXPECT_TRUE(p.send(bulk)); }};
  std::string back;
  while (back.size() < bulk.size()) {
    auto more = p.some();
    ASSERT_FALSE(more.empty());
    back += more;
  }
  writer.join();
  EXPECT_TRUE(back == bulk);
}

} // namespace
} // namespace marchproxy::relay

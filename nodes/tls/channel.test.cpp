// SPDX-License-Identifier: AGPL-3.0-only
// Both sides of TLS against OpenSSL's own, over socket pairs.
#include "nodes/tls/channels.test.hpp"
#include "nodes/tls/connector.hpp"

#include <array>

namespace marchproxy::tls::testing {
namespace {

TEST_F(channels, bytes_come_through_each_version_and_an_end_is_an_end) {
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    pair();
    client peer{client_fd, {.trusts = &ca, .server_name = "b.test", .version = version}};
    const auto server = meet(peer);
    ASSERT_EQ(server.how, step::done) << server.end->problem();
    EXPECT_EQ(peer.common_name(), "b");
    EXPECT_EQ(SSL_version(peer.ssl()), version);
    EXPECT_EQ(server.end->server_name(), "b.test");
    EXPECT_EQ(server.end->peer(), nullptr) << "nobody asked";
    EXPECT_EQ(server.end->peek(), step::wants_read);
    ASSERT_TRUE(peer.send("hello"));
    ASSERT_TRUE(wait(server_fd, step::wants_read));
    EXPECT_EQ(server.end->peek(), step::done);
    std::array<char, 3> some{};
    EXPECT_EQ(server.end->read(some).bytes, 3U);
    EXPECT_TRUE(server.end->has_more()) << "no event will tell of the other two";
    EXPECT_EQ(server.end->read(some).bytes, 2U);
    EXPECT_FALSE(server.end->has_more());
    EXPECT_EQ(server.end->read(some).how, step::wants_read);
    EXPECT_EQ(server.end->write("hi").bytes, 2U);
    EXPECT_EQ(peer.some(), "hi");
    peer.say_end();
    ASSERT_TRUE(wait(server_fd, step::wants_read));
    EXPECT_EQ(server.end->read(some).how, step::ended);
    EXPECT_EQ(server.end->write("still").bytes, 5U) << "half-closed";
    EXPECT_EQ(server.end->end(), step::done);
    EXPECT_EQ(server.end->end(), step::done);
    EXPECT_EQ(peer.all(), "still");
    EXPECT_EQ(peer.end, "close_notify");
  }
}

TEST_F(channels, a_connection_that_is_cut_is_no_end) {
  client peer{client_fd, {.server_name = "a.test"}};
  const auto server = meet(peer);
  ASSERT_EQ(server.how, step::done);
  shutdown(peer.fd(), SHUT_WR);
  std::array<char, 8> some{};
  EXPECT_EQ(server.end->read(some).how, step::failed);
  EXPECT_NE(server.end->problem().find("unexpected eof"), std::string::npos)
    << server.end->problem();
  EXPECT_EQ(server.end->read(some).how, step::failed);
  EXPECT_EQ(server.end->write("x").how, step::failed);
  EXPECT_EQ(server.end->end(), step::failed);
}

TEST_F(channels, tickets_go_with_the_first_bytes_or_with_the_end) {
  for (const auto speaks : {true, false}) {
    pair();
    client peer{client_fd, {.server_name = "a.test", .version = TLS1_3_VERSION}};
    const auto server = meet(peer);
    ASSERT_EQ(server.how, step::done);
    pollfd nothing{client_fd, POLLIN, 0};
    EXPECT_EQ(poll(&nothing, 1, 0), 0) << "the handshake is all that was sent";
    if (speaks) {
      EXPECT_EQ(server.end->write("hi").bytes, 2U);
      EXPECT_EQ(peer.exactly(2), "hi");
    }
    EXPECT_EQ(server.end->end(), step::done);
    EXPECT_EQ(peer.all(), "");
    EXPECT_EQ(SSL_SESSION_has_ticket(SSL_get0_session(peer.ssl())), 1);
  }
}

TEST_F(channels, nobody_is_told_of_an_end_that_he_made_himself) {
  client peer{client_fd, {.server_name = "a.test"}};
  const auto server = meet(peer);
  ASSERT_EQ(server.how, step::done);
  EXPECT_EQ(server.end->write("hi").bytes, 2U);
  EXPECT_EQ(peer.exactly(2), "hi");
  shutdown(peer.fd(), SHUT_WR);
  std::array<char, 8> some{};
  EXPECT_EQ(server.end->read(some).how, step::failed);
  EXPECT_EQ(server.end->end(), step::failed);
  pollfd nothing{client_fd, POLLIN, 0};
  EXPECT_EQ(poll(&nothing, 1, 0), 0);
}

TEST_F(channels, nobody_old_and_nobody_unknown_is_served) {
  client old{client_fd, {.server_name = "a.test", .version = TLS1_1_VERSION}};
  SSL_set_security_level(old.ssl(), 0);
  EXPECT_EQ(meet(old).how, step::failed);
  pair();
  client lost{client_fd, {.server_name = "c.test"}};
  const auto unknown = meet(lost);
  EXPECT_EQ(unknown.how, step::failed);
  EXPECT_NE(unknown.client_says.find("unrecognized name"), std::string::npos)
    << unknown.client_says;
  pair();
  client silent{client_fd, {.trusts = &ca}};
  EXPECT_EQ(meet(silent).how, step::done);
  EXPECT_EQ(silent.common_name(), "a") << "the first, for a client that names none";
}

TEST_F(channels, a_protocol_that_http_ports_do_not_speak_is_refused) {
  client peer{client_fd, {.server_name = "a.test", .alpn = "\x02h2"}};
  const auto refused = meet(peer);
  EXPECT_EQ(refused.how, step::failed);
  EXPECT_NE(refused.client_says.find("no application protocol"), std::string::npos)
    << refused.client_says;
  pair();
  client both{client_fd, {.server_name = "a.test", .alpn = "\x02h2\x08http/1.1"}};
  EXPECT_EQ(meet(both).how, step::done);
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(both.ssl(), &chosen, &size);
  EXPECT_EQ((std::string{reinterpret_cast<const char*>(chosen), size}), "http/1.1");
  pair();
  client other{client_fd, {.server_name = "a.test", .alpn = "\x02h2"}};
  EXPECT_EQ(meet(other, {.http = false}).how, step::done) << "a tcp port does not know";
}

TEST_F(channels, sessions_resume_but_not_at_a_port_of_another_kind) {
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    pair();
    client first{client_fd, {.server_name = "a.test", .version = version}};
    const auto server = meet(first);
    ASSERT_EQ(server.how, step::done);
    EXPECT_FALSE(server.end->resumed());
    ASSERT_EQ(server.end->write("x").bytes, 1U);
    EXPECT_EQ(first.some(), "x"); // and the tickets before it
    ASSERT_NE(first.session, nullptr);
    for (const auto& [terms, resumes] :
         {std::pair{accept_terms{}, true}, std::pair{accept_terms{.http = false}, false},
          std::pair{accept_terms{.asks_who = true}, false}}) {
      pair();
      client again{client_fd,
                   {.server_name = "a.test", .version = version, .resumes = first.session.get()}};
      const auto second = meet(again, terms);
      ASSERT_EQ(second.how, step::done) << second.end->problem();
      EXPECT_EQ(second.end->resumed(), resumes);
      EXPECT_EQ(again.resumed(), resumes);
    }
  }
}

TEST_F(channels, a_client_s_certificate_is_told_whatever_it_is_worth) {
  using standing = peer_identity::standing;
  const auto good =
    client_ca.issue({"Ann, \"A\"\nX-Evil: 1", "DNS:Ann.example,URI:spiffe://a/ann,DNS:b.example"});
  const auto old = client_ca.issue({"old", "", -3600});
  const auto strange = ca.issue({"strange", ""});
  const auto long_one =
    client_ca.issue({std::string(60, '\x01'), "URI:x:" + std::string(2000, 'a')});
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION})
    for (const auto& [shown, wanted, problem] :
         {std::tuple{static_cast<const issued*>(nullptr), standing::none, ""},
          std::tuple{&good, standing::trusted, ""}, std::tuple{&long_one, standing::trusted, ""},
          std::tuple{&old, standing::refused, "certificate has expired"},
          std::tuple{&strange, standing::refused, "unable to get local issuer certificate"}}) {
      pair();
      client peer{client_fd, {.server_name = "a.test", .version = version, .shows = shown}};
      const auto server = meet(peer, {.asks_who = true});
      ASSERT_EQ(server.how, step::done) << server.end->problem();
      const auto* who = server.end->peer();
      ASSERT_NE(who, nullptr);
      EXPECT_EQ(who->is, wanted) << problem;
      EXPECT_EQ(who->problem, problem);
      if (shown != &good)
        continue;
      EXPECT_EQ(who->subject, R"(CN=Ann\, \"A\"\0AX-Evil: 1)");
      EXPECT_EQ(who->common_names, std::vector<std::string>{"Ann, \"A\"\nX-Evil: 1"});
      EXPECT_EQ(who->dns_names, (std::vector<std::string>{"Ann.example", "b.example"}));
      EXPECT_EQ(who->uris, std::vector<std::string>{"spiffe://a/ann"});
    }
}

TEST_F(channels, records_that_come_byte_by_byte_are_put_together) {
  // A proxy between the two that passes on single bytes.
  std::array<int, 2> outer{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, outer.data()), 0);
  const auto drip = [](int from, int to) {
    for (char one = 0; recv(from, &one, 1, 0) == 1 && send(to, &one, 1, MSG_NOSIGNAL) == 1;) {
    }
  };
  std::thread up{drip, outer[0], client_fd};
  std::thread down{drip, client_fd, outer[0]};
  client peer{outer[1], {.trusts = &ca, .server_name = "a.test"}};
  const auto server = meet(peer);
  EXPECT_EQ(server.how, step::done) << server.end->problem();
  EXPECT_TRUE(peer.send("hello"));
  std::string got;
  std::array<char, 16> some{};
  while (got.size() < 5) {
    const auto read = server.end->read(some);
    if (read.how == step::wants_read && wait(server_fd, read.how))
      continue;
    ASSERT_EQ(read.how, step::done);
    got.append(some.data(), read.bytes);
  }
  EXPECT_EQ(got, "hello");
  shutdown(outer[0], SHUT_RDWR);
  shutdown(client_fd, SHUT_RDWR);
  up.join();
  down.join();
  ::close(outer[0]);
  ::close(client_fd);
}

TEST_F(channels, what_was_read_before_comes_first) {
  client peer{client_fd, {.server_name = "a.test"}};
  std::string says = "-";
  std::thread meets{[&] { says = peer.handshake(); }};
  ASSERT_TRUE(wait(server_fd, step::wants_read));
  std::string early(64 * 1024, '\0');
  early.resize(static_cast<std::size_t>(recv(server_fd, early.data(), early.size(), 0)));
  const auto server = ours->accept(server_fd, {}, std::move(early));
  EXPECT_EQ(shake(*server, server_fd), step::done) << server->problem();
  meets.join();
  EXPECT_EQ(says, "");
}

TEST_F(channels, a_write_that_is_blocked_goes_on_where_it_was) {
  client peer{client_fd, {.server_name = "a.test"}};
  const auto server = meet(peer);
  ASSERT_EQ(server.how, step::done);
  std::string sent(4U << 20U, '\0');
  for (std::size_t i = 0; i < sent.size(); ++i)
    sent[i] = static_cast<char>(i * 7 + i / 256);
  std::string got;
  std::thread reads{[&] { got = peer.exactly(sent.size()); }};
  auto blocked = 0;
  for (std::string_view left = sent; !left.empty();) {
    const auto put = server.end->write(left);
    EXPECT_EQ(server.end->holds_record(), put.how == step::wants_write);
    if (put.how == step::wants_write) {
      ++blocked;
      ASSERT_TRUE(wait(server_fd, put.how));
    } else {
      ASSERT_EQ(put.how, step::done);
      left.remove_prefix(put.bytes);
    }
  }
  reads.join();
  EXPECT_EQ(got == sent, true);
  EXPECT_GT(blocked, 0);
}

/// A connector against a server of ours.
class connectors : public channels {
protected:
  /// @return empty, or why the connection is not made
  std::string reach(const server_demand& wanted, const std::string& authorities) {
    pair();
    fcntl(client_fd, F_SETFL, O_NONBLOCK);
    const auto made = connector::create(files.write("trusted.pem", authorities));
    EXPECT_TRUE(made);
    const auto server = ours->accept(server_fd, {}, {});
    const auto us = (*made)->connect(client_fd, wanted);
    std::thread serves{[&] {
      if (shake(*server, server_fd) == step::failed)
        shutdown(server_fd, SHUT_RDWR);
    }};
    const auto how = shake(*us, client_fd);
    if (how != step::done)
      shutdown(client_fd, SHUT_RDWR);
    serves.join();
    ::close(client_fd);
    return how == step::done ? "" : us->problem();
  }
};

TEST_F(connectors, take_only_the_server_that_they_want) {
  const auto here = *parse_ip("192.0.2.1");
  files.write_pair("ip", ca.issue({"ip", "IP:192.0.2.1"}));
  files.write_pair("default", ca.issue({"d", "IP:192.0.2.1,DNS:d.test"}));
  auto store = certificate_store::open({files.path, {}}, [](const std::string&) {});
  ASSERT_TRUE(store);
  ours = *acceptor::create(std::move(*store));
  EXPECT_EQ(reach({.name = "a.test"}, ca.pem()), "");
  EXPECT_EQ(reach({.name = "a.test"}, client_ca.pem()), "unable to get local issuer certificate");
  EXPECT_EQ(reach({.name = "a.test", .verify = false}, client_ca.pem()), "");
  EXPECT_EQ(reach({.name = {}, .address = here}, ca.pem()), "");
  EXPECT_EQ(reach({.name = "a.test", .address = here}, ca.pem()), "")
    << "the service's name is in it";
  EXPECT_EQ(reach({.name = {}, .address = parse_ip("192.0.2.2")}, ca.pem()),
            "the certificate has neither the address nor the service's name");
  files.write_pair("a", ca.issue({"a.test", "DNS:other.test"}));
  store = certificate_store::open({files.path, {}}, [](const std::string&) {});
  ours = *acceptor::create(std::move(*store));
  EXPECT_NE(reach({.name = "a.test"}, ca.pem()), "") << "nobody is called so";
}

TEST_F(connectors, a_certificate_of_another_name_or_that_has_ended_is_refused) {
  const auto us_made = *connector::create(files.write("trusted.pem", ca.pem()));
  for (const auto& [shown, problem] :
       {std::pair{ca.issue({"a.b.test", "DNS:other.test"}), "hostname mismatch"},
        std::pair{ca.issue({"a.b.test", ""}), "hostname mismatch"},
        std::pair{ca.issue({"x", "DNS:*.b.test"}), ""},
        std::pair{ca.issue({"x", "DNS:a*.b.test"}), "hostname mismatch"},
        std::pair{ca.issue({"x", "DNS:a.b.test", -3600}), "certificate has expired"}}) {
    pair();
    fcntl(server_fd, F_SETFL, 0);
    fcntl(client_fd, F_SETFL, O_NONBLOCK);
    const auto us = us_made->connect(client_fd, {.name = "a.b.test"});
    std::thread serves{[&, with = shown] {
      server them{std::exchange(server_fd, -1), with};
      static_cast<void>(them.handshake());
    }};
    const auto how = shake(*us, client_fd);
    shutdown(client_fd, SHUT_RDWR);
    serves.join();
    ::close(client_fd);
    EXPECT_EQ(us->problem(), problem);
    EXPECT_EQ(how == step::done, us->problem().empty());
  }
}

} // namespace
} // namespace marchproxy::tls::testing

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/crypto/encoding.hpp"
#include "actors/identity/tokens.hpp"
#include "nodes/relay/jwt.test.hpp"
#include "nodes/relay/relay_fixture.test.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;

class relay_auth : public relaying {
protected:
  /// `web` (token) and `jobs` (JWT) are at 127.0.0.1 and may reach the origin with credentials,
  /// `other` may not.
  rules policy(std::uint64_t revision = 1, bool with_token = true) {
    rules r{revision};
    auto web = r.service("web", "127.0.0.1/32");
    auto jobs = r.service("jobs", "127.0.0.0/24");
    auto other = r.service("other", "127.0.0.1/32");
    auto to = r.service("origin", "127.0.0.1/32");
    if (with_token)
      r.credential(web, "first", "", identity::token_hash("t0ken"));
    r.credential(jobs, "key", "HS256", crypto::to_base64url(jwt_secret));
    r.credential(other, "theirs", "", identity::token_hash("other-token"));
    auto& m = r.mapping(web, to);
    m.sources.push_back(jobs);
    m.auth_required = true;
    return r;
  }
  static std::string basic(const std::string& user, const std::string& secret) {
    return "Proxy-Authorization: Basic " + crypto::to_base64(user + ":" + secret) + "\r\n";
  }
  std::string status(const std::string& fields) {
    auto p = dial();
    return connect(p, at(server_behind.port), fields).substr(9, 3);
  }

  origin server_behind{echo};
};

TEST_F(relay_auth, a_token_of_a_source_service_opens_the_way) {
  start(policy().snapshot());
  EXPECT_EQ(status(basic("web", "t0ken")), "200");
  EXPECT_EQ(status("Proxy-Authorization: Bearer t0ken\r\n"), "200");
  ASSERT_TRUE(eventually([&] { return records().size() == 2; }));
  for (const auto& r : records()) {
    EXPECT_EQ(r.identity, service_id{1});
    EXPECT_EQ(r.credential, "first");
  }
  EXPECT_EQ(server->totals().auth_successes, 2U);
}

TEST_F(relay_auth, missing_and_wrong_credentials_are_asked_for_again) {
  start(policy().snapshot());
  auto p = dial();
  auto head = connect(p, at(server_behind.port));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 407")) << head;
  EXPECT_NE(head.find("\r\nProxy-Authenticate: Basic "), std::string::npos);
  EXPECT_NE(head.find("X-MarchProxy-Reason: auth_required"), std::string::npos);
  // On the same connection, as curl does it.
  p.exactly(std::stoul(head.substr(head.find("Content-Length: ") + 16)));
  EXPECT_TRUE(
    connect(p, at(server_behind.port), basic("web", "t0ken")).starts_with("HTTP/1.1 200"));
  EXPECT_EQ(status(basic("web", "wrong")), "407");
  EXPECT_EQ(status(basic("jobs", "t0ken")), "407");
  EXPECT_EQ(status(basic("other", "other-token")), "407");
  EXPECT_EQ(status("Proxy-Authorization: Digest x\r\n"), "407");
  auto totals = server->totals();
  EXPECT_EQ(totals.auth_failures, 4U);
  EXPECT_EQ(totals.reasons[static_cast<std::size_t>(reason::auth_required)], 1U);
}

TEST_F(relay_auth, a_jwt_opens_the_way_until_it_expires) {
  start(policy().snapshot());
  EXPECT_EQ(status("Proxy-Authorization: Bearer " + jwt("jobs", wall_now() + 60s) + "\r\n"), "200");
  EXPECT_EQ(status(basic("jobs", jwt("jobs", wall_now() + 60s))), "200");
  EXPECT_EQ(status("Proxy-Authorization: Bearer " + jwt("jobs", wall_now() - 120s) + "\r\n"),
            "407");
  EXPECT_EQ(status("Proxy-Authorization: Bearer " + jwt("web", wall_now() + 60s) + "\r\n"), "407");
}

TEST_F(relay_auth, forwarded_requests_show_credentials_too_and_the_origin_never_sees_them) {
  origin web{[](peer& p) {
    auto head = p.until("\r\n\r\n");
    auto leaked = head.find("roxy-Authorization") != std::string::npos;
    p.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"s + (leaked ? "y" : "n"));
  }};
  start(policy().snapshot());
  auto p = dial();
  auto line = "GET http://" + at(web.port) + "/ HTTP/1.1\r\nHost: x\r\n";
  p.send(line + "\r\n");
  auto head = p.until("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 407"));
  p.exactly(std::stoul(head.substr(head.find("Content-Length: ") + 16)));
  p.send(line + basic("web", "t0ken") + "\r\n");
  EXPECT_TRUE(p.until("\r\n\r\n").starts_with("HTTP/1.1 200"));
  EXPECT_EQ(p.exactly(1), "n");
}

TEST_F(relay_auth, socks_takes_the_service_and_its_token) {
  start(policy().snapshot());
  auto ask = [&](const std::string& user, const std::string& secret) {
    auto p = dial();
    p.send("\x05\x02\x00\x02"s);
    EXPECT_EQ(p.exactly(2), "\x05\x02"s);
    p.send("\x01"s + static_cast<char>(user.size()) + user + static_cast<char>(secret.size())
           + secret);
    EXPECT_EQ(p.exactly(2), "\x01\x00"s);
    p.send("\x05\x01\x00\x01\x7f\x00\x00\x01"s + static_cast<char>(server_behind.port >> 8)
           + static_cast<char>(server_behind.port & 0xff));
    return static_cast<int>(p.exactly(10).at(1));
  };
  EXPECT_EQ(ask("web", "t0ken"), 0);
  EXPECT_EQ(ask("web", "wrong"), 2);
}

TEST_F(relay_auth, a_tunnel_ends_when_its_credential_is_taken_away) {
  start(policy(1).snapshot());
  auto by_token = dial();
  EXPECT_TRUE(
    connect(by_token, at(server_behind.port), basic("web", "t0ken")).starts_with("HTTP/1.1 200"));
  auto by_jwt = dial();
  auto shown = "Proxy-Authorization: Bearer " + jwt("jobs", wall_now() + 60s) + "\r\n";
  EXPECT_TRUE(connect(by_jwt, at(server_behind.port), shown).starts_with("HTTP/1.1 200"));
  publish(policy(2).snapshot());
  by_token.send("on");
  EXPECT_EQ(by_token.exactly(2), "on");
  publish(policy(3, false).snapshot());
  EXPECT_EQ(by_token.all(), "");
  by_jwt.send("on");
  EXPECT_EQ(by_jwt.exactly(2), "on");
  EXPECT_EQ(record().why, reason::revision_changed);
}

} // namespace
} // namespace marchproxy::relay

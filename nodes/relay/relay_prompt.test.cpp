// SPDX-License-Identifier: AGPL-3.0-only
// Credentials of clients that come by a service's listener (COMPAT-1).
#include "actors/identity/tokens.hpp"
#include "nodes/relay/jwt.test.hpp"
#include "nodes/relay/relay_fixture.test.hpp"
#include "nodes/wire/auth_line.hpp"

namespace marchproxy::relay {
namespace {

using namespace testing;

class relay_prompt : public relaying {
protected:
  /// `web` (service 1, a token) and `jobs` (a JWT) may reach the origin by its listener, with
  /// credentials.
  rules policy(const std::string& address = "127.0.0.1/32", bool with_credentials = true) {
    rules r;
    auto web = r.service("web", "127.0.0.1/32");
    auto jobs = r.service("jobs", "127.0.0.0/24");
    auto to = r.service("origin", address, port.number, behind.port);
    r.credential(web, "first", "", identity::token_hash("t0ken=="));
    r.credential(jobs, "key", "HS256", crypto::to_base64url(jwt_secret));
    auto& m = r.mapping(web, to);
    m.sources.push_back(jobs);
    m.auth_required = with_credentials;
    m.allow_private = true;
    return r;
  }
  /// A client that has read the prompt.
  [[nodiscard]] peer prompted() const {
    auto out = peer::to(port.number);
    EXPECT_EQ(out.exactly(wire::auth_line::prompt.size()), wire::auth_line::prompt);
    return out;
  }
  /// All that comes after @p line and @p more.
  [[nodiscard]] std::string answer_to(const std::string& line) const {
    auto p = prompted();
    p.send(line);
    return p.all();
  }
  void expect_refused(const std::string& line, reason why) {
    const auto before = records().size();
    const auto served = behind.connections.load();
    const auto said = answer_to(line);
    ASSERT_TRUE(eventually([&] { return records().size() > before; }));
    const auto told = records().back();
    EXPECT_EQ(said, "AUTH_FAILED " + std::string{to_string(why)} + " " + request_text(told.request)
                      + "\n")
      << line;
    EXPECT_EQ(told.why, why) << line;
    EXPECT_FALSE(told.allowed);
    EXPECT_EQ(told.identity, service_id{});
    EXPECT_EQ(behind.connections, served);
  }

  origin behind{echo};
  reserved_port port;
};

TEST_F(relay_prompt, a_token_by_id_or_name_opens_the_way) {
  start(policy().snapshot());
  std::size_t flows = 0;
  for (const auto& line :
       {"1:t0ken==\n"s, "web:t0ken==\r\n"s, "jobs:" + jwt("jobs", wall_now() + 60s) + "\n"}) {
    auto p = prompted();
    p.send(line);
    EXPECT_EQ(p.exactly(8), "AUTH_OK\n") << line;
    p.send("hello");
    EXPECT_EQ(p.exactly(5), "hello");
    p.close();
    ASSERT_TRUE(eventually([&] { return records().size() == flows + 1; }));
    const auto told = records().back();
    EXPECT_EQ(told.via, entry::listener);
    EXPECT_EQ(told.why, reason::mapping_allow);
    EXPECT_EQ(told.identity, service_id{flows < 2 ? 1U : 2U});
    EXPECT_EQ(told.credential, flows < 2 ? "first" : "key");
    EXPECT_EQ(told.bytes_up, 5U) << "the line is no part of the flow";
    EXPECT_EQ(told.bytes_down, 5U);
    ++flows;
  }
  EXPECT_EQ(server->totals().auth_successes, 3U);
  EXPECT_EQ(server->totals().auth_failures, 0U);
}

TEST_F(relay_prompt, what_comes_behind_the_line_goes_on) {
  start(policy().snapshot());
  auto p = peer::to(port.number);
  p.send("1:t0ken==\nhello");
  const auto all = std::string{wire::auth_line::prompt} + "AUTH_OK\nhello";
  EXPECT_EQ(p.exactly(all.size()), all);
}

TEST_F(relay_prompt, a_line_may_come_in_pieces) {
  start(policy().snapshot());
  auto p = prompted();
  for (const char c : "1:t0ken==\n"s) {
    p.send({&c, 1});
    std::this_thread::yield();
  }
  EXPECT_EQ(p.exactly(8), "AUTH_OK\n");
}

TEST_F(relay_prompt, wrong_credentials_get_one_line_and_the_record_says_why) {
  start(policy().snapshot());
  for (const auto& line : {"1:wrong\n"s, "2:t0ken==\n"s, "jobs:t0ken==\n"s, "9:t0ken==\n"s,
                           "web:" + jwt("web", wall_now() + 60s) + "\n", "GET / HTTP/1.1\r\n\r\n"s,
                           std::string(9000, 'a'), "1:" + std::string(9000, 't')})
    expect_refused(line, reason::auth_failed);
  EXPECT_EQ(server->totals().auth_successes, 0U);
  EXPECT_EQ(server->totals().auth_failures, 8U);
}

TEST_F(relay_prompt, none_within_the_time_are_none) {
  settings.head_timeout = 50ms;
  start(policy().snapshot());
  expect_refused("", reason::auth_required);
  expect_refused("1:t0k", reason::auth_required);
  auto p = prompted();
  p.close();
  ASSERT_TRUE(eventually([&] { return records().size() == 3; }));
  EXPECT_EQ(records().back().why, reason::auth_required);
  EXPECT_EQ(server->totals().open, 0U);
}

TEST_F(relay_prompt, a_service_by_name_asks_too) {
  start(policy("origin.test").snapshot());
  auto p = prompted();
  p.send("1:t0ken==\n");
  EXPECT_EQ(p.exactly(8), "AUTH_OK\n");
  p.close();
  ASSERT_TRUE(eventually([&] { return !records().empty(); }));
  expect_refused("1:wrong\n", reason::auth_failed);
}

TEST_F(relay_prompt, nobody_is_asked_where_no_mapping_wants_to_know) {
  start(policy("127.0.0.1/32", false).snapshot());
  auto p = peer::to(port.number);
  p.send("hello");
  EXPECT_EQ(p.exactly(5), "hello");
}

TEST_F(relay_prompt, credentials_are_judged_by_the_policy_of_then) {
  start(policy().snapshot());
  auto p = prompted();
  rules none{2};
  none.service("web", "127.0.0.1/32");
  none.service("origin", "127.0.0.1/32", port.number, behind.port);
  publish(none.snapshot());
  p.send("1:t0ken==\n");
  const auto said = p.all();
  EXPECT_EQ(said, "REFUSED implicit_deny " + request_text(record().request) + "\n");
}

TEST_F(relay_prompt, a_service_that_is_not_there_is_told_apart_from_wrong_credentials) {
  auto r = policy();
  const auto nobody = closed_port();
  r.at(service_id{3}).ports = model::port_set{{{nobody, nobody}}};
  start(r.snapshot());
  const auto said = answer_to("1:t0ken==\n");
  EXPECT_EQ(said, "REFUSED connect_failed " + request_text(record().request) + "\n");
  EXPECT_TRUE(record().allowed);
  EXPECT_EQ(record().identity, service_id{1});
}

} // namespace
} // namespace marchproxy::relay

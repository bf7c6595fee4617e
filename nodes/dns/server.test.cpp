// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/dns/server.hpp"

#include "nodes/dns/upstream.test.hpp"
#include "nodes/wire/dns_build.test.hpp"

#include <gtest/gtest.h>

#include <condition_variable>

namespace marchproxy::dns {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace testing;
using namespace wire::testing;
using wire::dns_type;

/// A policy that knows 127.0.0.0/29.
std::shared_ptr<const policy::program> some_policy() {
  auto rules = std::make_shared<model::ruleset>();
  rules->cluster = cluster_id{1};
  rules->revision = revision{1};
  model::service office;
  office.id = service_id{1};
  office.address = *parse_prefix("127.0.0.0/29");
  rules->services = {office};
  return *policy::program::compile(rules);
}

/// @p answer with the id and the spelling of @p question.
std::string reply(const std::string& question, std::string answer) {
  const auto section = wire::dns_reader::open(question)->question().end;
  answer.replace(0, 2, question.substr(0, 2));
  answer.replace(12, section - 12, question.substr(12, section - 12));
  return answer;
}

std::string address_answer(const std::string& question, const std::string& address = "\1\2\3\4"s) {
  return reply(question,
               dns_answer("a.test", dns_type::a,
                          {.answers = {dns_record_of(dns_the_question, dns_type::a, address)}}));
}

std::string error_answer(const std::string& question, unsigned code) {
  return reply(question, dns_answer("a.test", dns_type::a, {}, 0x8180U | code));
}

unsigned rcode_of(const std::string& message) {
  return message.size() < 12 ? 99 : wire::read_dns_header(message).rcode();
}

std::size_t answers_in(const std::string& message) {
  return wire::read_dns_header(message).counts[1];
}

class dns_server : public ::testing::Test {
protected:
  void start(const std::vector<const name_server*>& servers) {
    options.listen = {{*parse_ip("127.0.0.1"), 0}};
    for (const auto* each : servers)
      options.to.servers.push_back(each->at());
    auto made = server::start(options);
    ASSERT_TRUE(made) << to_string(made.error());
    one = std::move(*made);
  }
  [[nodiscard]] net::endpoint at() const { return one->local().front(); }
  [[nodiscard]] std::string ask(std::string_view what, const char* from = "127.0.0.1") const {
    return udp_client{at(), from}.ask(what);
  }
  /// Waits for a counter.
  static void becomes(const net::counter& what, std::uint64_t value) {
    for (auto until = net::clock::now() + 10s; what.get() != value && net::clock::now() < until;)
      std::this_thread::yield();
    EXPECT_EQ(what.get(), value);
  }

  server_options options{
    .listen = {},
    .to = {.servers = {}, .timeout = 10s},
    .policy = [program = some_policy()] { return program; },
    .told = std::make_shared<net::lease_store>(net::lease_terms{}),
    .counts = std::make_shared<counters>(),
  };
  std::unique_ptr<server> one;
  const std::string question = dns_question_for("a.test", dns_type::a);
};

TEST_F(dns_server, what_the_name_server_says_is_the_answer) {
  name_server above{[](const auto& q, bool) { return address_answer(q); }};
  start({&above});
  const auto got = ask(question);
  EXPECT_EQ(got, address_answer(question));
  EXPECT_EQ(options.counts->udp.get(), 1U);
  EXPECT_EQ(options.counts->answers[0].get(), 1U);
  const auto told = options.told->find("a.test", net::clock::now());
  ASSERT_TRUE(told);
  EXPECT_EQ(to_string(told->addresses.front()), "1.2.3.4");
}

TEST_F(dns_server, ech_is_taken_out_and_counted) {
  name_server above{[](const auto& q, bool) {
    return reply(q, dns_answer("a.test", dns_type::https,
                               {.answers = {dns_record_of(
                                  dns_the_question, dns_type::https,
                                  dns_svc(dns_param(1, "\2h2") + dns_param(5, "keys")))}}));
  }};
  start({&above});
  const auto got = ask(dns_question_for("a.test", dns_type::https));
  EXPECT_EQ(answers_in(got), 1U);
  EXPECT_EQ(got.find("keys"), std::string::npos);
  EXPECT_NE(got.find("\2h2"), std::string::npos);
  EXPECT_EQ(options.counts->ech_removed.get(), 1U);
}

TEST_F(dns_server, whom_the_policy_does_not_know_is_refused) {
  name_server above{[](const auto& q, bool) { return address_answer(q); }};
  start({&above});
  EXPECT_EQ(rcode_of(ask(question, "127.0.0.9")), 5U);
  EXPECT_EQ(rcode_of(ask(question, "127.0.0.2")), 0U);
  EXPECT_EQ(options.counts->answers[5].get(), 1U);
  const auto stranger = connected(at(), "127.0.0.9");
  const auto bytes = framed(question);
  send(stranger.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  EXPECT_EQ(read_framed(stranger.get()), "") << "by TCP the connection ends";
  EXPECT_EQ(above.seen().size(), 1U);
  one.reset();
  options.policy = [] { return std::shared_ptr<const policy::program>{}; };
  options.to.servers.clear();
  start({&above});
  EXPECT_EQ(rcode_of(ask(question)), 5U) << "no policy is in force";
}

TEST_F(dns_server, each_try_has_an_id_and_a_port_of_its_own) {
  name_server above{[](const auto& q, bool) { return address_answer(q); }};
  start({&above});
  udp_client client{at()};
  constexpr std::size_t asked = 60;
  for (std::size_t i = 0; i < asked; ++i)
    EXPECT_EQ(client.ask(question), address_answer(question));
  std::set<std::uint16_t> ports;
  std::set<std::uint16_t> ids;
  for (const auto& [port, id] : above.seen()) {
    ports.insert(port);
    ids.insert(id);
  }
  EXPECT_GT(ports.size(), asked * 2 / 3);
  EXPECT_GT(ids.size(), asked * 9 / 10);
  EXPECT_FALSE(ids.contains(0x1234) && ids.size() == 1) << "not the client's";
}

TEST_F(dns_server, an_answer_to_another_question_is_none) {
  name_server above{[n = 0](const auto& q, bool) mutable -> std::optional<std::string> {
    switch (n++) {
    case 0: {
      auto other = address_answer(q, "\6\6\6\6"s);
      other[0] = static_cast<char>(other[0] ^ 1);
      return other;
    }
    case 1:
      return dns_answer("b.test", dns_type::a, {}).replace(0, 2, q.substr(0, 2));
    case 2:
      return q;
    default:
      return address_answer(q);
    }
  }};
  options.to.timeout = 50ms;
  options.to.rounds = 4;
  start({&above});
  EXPECT_EQ(ask(question), address_answer(question));
  EXPECT_EQ(above.seen().size(), 4U);
}

TEST_F(dns_server, what_is_truncated_is_fetched_by_tcp) {
  std::vector<std::string> many(200, dns_record_of(dns_the_question, dns_type::a, "\1\2\3\4"s));
  name_server above{[&](const auto& q, bool tcp) {
    return tcp ? reply(q, dns_answer("a.test", dns_type::a, {.answers = many}))
               : error_answer(q, wire::dns_truncated);
  }};
  start({&above});
  const auto cut = ask(question);
  EXPECT_TRUE(wire::read_dns_header(cut).has(wire::dns_truncated));
  EXPECT_EQ(answers_in(cut), 0U);
  EXPECT_EQ(options.counts->truncated.get(), 1U);
  const auto client = connected(at());
  const auto bytes = framed(question);
  // Two at once, and one of them in two parts.
  const auto stream = bytes + bytes;
  send(client.get(), stream.data(), bytes.size() + 3, MSG_NOSIGNAL);
  EXPECT_EQ(answers_in(read_framed(client.get())), 200U);
  send(client.get(), stream.data() + bytes.size() + 3, bytes.size() - 3, MSG_NOSIGNAL);
  shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(answers_in(read_framed(client.get())), 200U) << "also when it asks no more";
  EXPECT_EQ(read_framed(client.get()), "");
  EXPECT_EQ(options.counts->tcp.get(), 2U);
}

TEST_F(dns_server, another_server_is_asked_when_one_does_not_help) {
  name_server silent{[](const auto&, bool) { return std::nullopt; }};
  name_server failing{[](const auto& q, bool) { return error_answer(q, 2); }};
  name_server good{[](const auto& q, bool) { return address_answer(q); }};
  options.to.timeout = 50ms;
  start({&silent, &failing, &good});
  EXPECT_EQ(ask(question), address_answer(question));
  EXPECT_EQ(ask(question), address_answer(question));
  EXPECT_EQ(silent.seen().size(), 1U) << "next time the one that answered is asked first";
  EXPECT_EQ(failing.seen().size(), 1U);
}

TEST_F(dns_server, a_refusal_is_passed_on_when_nobody_knows_better) {
  name_server above{[](const auto& q, bool) { return error_answer(q, 5); }};
  start({&above});
  EXPECT_EQ(rcode_of(ask(question)), 5U);
  EXPECT_EQ(above.seen().size(), 1U) << "it is not asked again";
  EXPECT_EQ(options.counts->upstream_failures.get(), 0U);
}

TEST_F(dns_server, without_an_answer_it_is_servfail) {
  name_server silent{[](const auto&, bool) { return std::nullopt; }};
  options.to.timeout = 20ms;
  start({&silent});
  EXPECT_EQ(rcode_of(ask(question)), 2U);
  EXPECT_EQ(silent.seen().size(), 2U);
  EXPECT_EQ(options.counts->upstream_failures.get(), 1U);
}

TEST_F(dns_server, an_answer_that_cannot_be_read_is_not_passed_on) {
  name_server above{[](const auto& q, bool) {
    return reply(q, dns_answer("a.test", dns_type::https,
                               {.answers = {dns_record_of(dns_the_question, dns_type::https,
                                                          dns_svc("\0\5\0\xff"s))}}));
  }};
  start({&above});
  EXPECT_EQ(rcode_of(ask(dns_question_for("a.test", dns_type::https))), 2U);
  EXPECT_EQ(options.counts->upstream_failures.get(), 1U);
}

TEST_F(dns_server, nobody_listens_above) {
  auto nobody = std::make_unique<name_server>([](const auto&, bool) { return std::nullopt; });
  start({nobody.get()});
  nobody.reset();
  EXPECT_EQ(rcode_of(ask(question)), 2U) << "told by ICMP, without waiting";
}

TEST_F(dns_server, a_source_has_a_bounded_number_of_questions_under_way) {
  std::mutex mutex;
  std::condition_variable changed;
  bool free = false;
  name_server above{[&](const auto& q, bool) {
    std::unique_lock lock{mutex};
    changed.wait(lock, [&] { return free; });
    return address_answer(q);
  }};
  options.most_of_source = 3;
  options.most_questions = 4;
  start({&above});
  udp_client first{at(), "127.0.0.1"};
  for (int i = 0; i < 3; ++i)
    first.send(question);
  EXPECT_EQ(rcode_of(first.ask(question)), 2U) << "the fourth";
  udp_client second{at(), "127.0.0.2"};
  second.send(question);
  EXPECT_EQ(rcode_of(second.ask(question)), 2U) << "four are under way in all";
  EXPECT_EQ(options.counts->limited.get(), 2U);
  {
    std::lock_guard lock{mutex};
    free = true;
  }
  changed.notify_all();
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(rcode_of(first.receive()), 0U);
  EXPECT_EQ(rcode_of(second.receive()), 0U);
  EXPECT_EQ(rcode_of(first.ask(question)), 0U) << "and there is room again";
}

TEST_F(dns_server, connections_are_bounded_too) {
  name_server above{[](const auto& q, bool) { return address_answer(q); }};
  options.most_connections = 1;
  start({&above});
  const auto bytes = framed(question);
  auto kept = connected(at());
  send(kept.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  EXPECT_EQ(answers_in(read_framed(kept.get())), 1U);
  const auto beyond = connected(at());
  EXPECT_EQ(read_framed(beyond.get()), "");
  kept.reset();
  becomes(options.counts->limited, 1);
  // The server hears of the end in its own time.
  auto got = ""s;
  for (auto until = net::clock::now() + 10s; got.empty() && net::clock::now() < until;) {
    const auto again = connected(at());
    send(again.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    got = read_framed(again.get());
  }
  EXPECT_EQ(answers_in(got), 1U);
}

TEST_F(dns_server, what_is_no_question_ends_a_connection) {
  name_server above{[](const auto& q, bool) { return address_answer(q); }};
  start({&above});
  for (const auto& bytes : {"\0\1x"s, "\xff\xff"s}) {
    const auto client = connected(at());
    send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    EXPECT_EQ(read_framed(client.get()), "");
  }
}

TEST_F(dns_server, answers_leave_from_where_they_were_asked) {
  name_server above{[](const auto& q, bool) { return address_answer(q); }};
  options.listen = {{ip_address::v4(0), 0}, {ip_address::v6({}), 0}};
  options.to.servers = {above.at()};
  auto made = server::start(options);
  ASSERT_TRUE(made);
  // The client's socket is connected: an answer from elsewhere would not reach it.
  const net::endpoint there{*parse_ip("127.0.0.77"), (*made)->local().front().port};
  EXPECT_EQ(udp_client(there).ask(question), address_answer(question));
}

TEST_F(dns_server, it_does_not_start_without_a_name_server_or_its_port) {
  auto none = server::start(options);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, errc::invalid_argument);
  name_server above{[](const auto&, bool) { return std::nullopt; }};
  options.listen = {above.at()};
  options.to.servers = {above.at()};
  auto taken = server::start(options);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, errc::conflict);
}

} // namespace
} // namespace marchproxy::dns

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/dns/client_question.hpp"

#include "nodes/wire/dns_build.test.hpp"

#include <gtest/gtest.h>

namespace marchproxy::dns {
namespace {

using namespace std::string_literals;
using namespace wire::testing;
using wire::dns_type;

std::string opt(std::uint16_t size, std::uint32_t ttl = 0, const std::string& options = "") {
  return dns_record_of("\0"s, dns_type::opt, options, ttl, size);
}

rcode verdict_on(const std::string& message) {
  auto read = parse_question(message);
  EXPECT_TRUE(read);
  return read ? read->verdict : rcode::server_failure;
}

TEST(client_question, one_question_of_the_internet_is_passed_on) {
  for (auto type : {dns_type::a, dns_type::https, dns_type{16}, dns_type{255}, dns_type{65280}})
    EXPECT_EQ(verdict_on(dns_question_for("a.test", type)), rcode::no_error);
  EXPECT_EQ(verdict_on(dns_question_for("a.test", dns_type::a, {opt(4096)})), rcode::no_error);
}

TEST(client_question, what_is_not_passed_on_is_told_why) {
  const auto plain = dns_question_for("a.test", dns_type::a);
  auto chaos = plain;
  chaos.back() = 3;
  EXPECT_EQ(verdict_on(chaos), rcode::refused);
  for (auto type : {252, 251, 249, 250, 41}) // transfers, TKEY, TSIG, OPT
    EXPECT_EQ(verdict_on(dns_question_for("a.test", dns_type(type))), rcode::refused) << type;
  EXPECT_EQ(verdict_on(dns_question_for("a.test", dns_type::a, {}, 0x2800)), rcode::not_implemented)
    << "an update";
  EXPECT_EQ(verdict_on(dns_question_for("a.test", dns_type::a, {opt(512), opt(512)})),
            rcode::format_error);
  EXPECT_EQ(verdict_on(dns_question_for("a.test", dns_type::a, {opt(512, 0x10000)})),
            rcode::bad_version);
  EXPECT_EQ(verdict_on(plain + "x"), rcode::format_error);
  EXPECT_EQ(verdict_on(plain.substr(0, plain.size() - 1)), rcode::format_error);
  auto two = plain;
  wire::put_dns_u16(two, 4, 2);
  EXPECT_EQ(verdict_on(two), rcode::format_error);
}

TEST(client_question, an_answer_is_never_answered) {
  EXPECT_FALSE(parse_question(dns_answer("a.test", dns_type::a, {})));
  EXPECT_FALSE(parse_question("short"));
  EXPECT_FALSE(parse_question(""));
}

TEST(client_question, the_server_gets_the_question_and_not_the_client_s_options) {
  const auto cookie = "\0\x0a\0\x08"
                      "12345678"s;
  const auto asked =
    parse_question(dns_question_for("MiXed.test", dns_type::https, {opt(4096, 0x8000, cookie)},
                                    wire::dns_recursion_desired | wire::dns_checking_disabled))
      ->question;
  const auto sent = question_to_server(asked, 0x4242);
  auto reader = wire::dns_reader::open(sent);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->header().id, 0x4242);
  EXPECT_EQ(reader->header().flags, wire::dns_recursion_desired | wire::dns_checking_disabled);
  EXPECT_NE(sent.find("MiXed"), std::string::npos);
  auto record = reader->next();
  ASSERT_TRUE(record);
  EXPECT_EQ(record->end, record->data) << "no options";
  auto edns = wire::read_dns_edns(*record);
  ASSERT_TRUE(edns);
  EXPECT_EQ(edns->size, udp_size);
  EXPECT_TRUE(edns->dnssec);
  EXPECT_FALSE(reader->next());
  EXPECT_TRUE(reader->whole());
}

TEST(client_question, the_answer_has_the_client_s_id_and_follows_its_edns) {
  const auto record = dns_record_of(dns_the_question, dns_type::a, "\1\2\3\4"s);
  const auto answer = dns_answer("a.test", dns_type::a, {.answers = {record}});
  auto with = parse_question(dns_question_for("a.test", dns_type::a, {opt(4096, 0x8000)}));
  with->question.header.id = 7;
  const auto got = client_answer(with->question, answer, std::nullopt, 512);
  EXPECT_EQ(wire::read_dns_header(got).id, 7);
  EXPECT_TRUE(got.ends_with(opt(udp_size, 0x8000)));
  EXPECT_EQ(wire::read_dns_header(got).counts[3], 1);
  const auto without = parse_question(dns_question_for("a.test", dns_type::a))->question;
  EXPECT_EQ(client_answer(without, answer, std::nullopt, 512), answer) << "the same id, no OPT";
  const wire::dns_edns high{.high_rcode = 1};
  EXPECT_EQ(wire::read_dns_header(client_answer(without, answer, high, 512)).rcode(), 2U)
    << "a code that it could not be told";
  EXPECT_TRUE(
    client_answer(with->question, answer, high, 512).ends_with(opt(udp_size, 0x01008000)));
}

TEST(client_question, what_does_not_fit_is_left_for_tcp) {
  std::vector<std::string> many(60, dns_record_of(dns_the_question, dns_type::a, "\1\2\3\4"s));
  const auto answer = dns_answer("a.test", dns_type::a, {.answers = many}); // 984 bytes
  const auto most = [&](const std::vector<std::string>& edns) {
    const auto asked = parse_question(dns_question_for("a.test", dns_type::a, edns))->question;
    return client_answer(asked, answer, std::nullopt, asked.most_by_udp());
  };
  for (const auto& cut : {most({}), most({opt(100)}), most({opt(800)})}) {
    auto reader = wire::dns_reader::open(cut);
    ASSERT_TRUE(reader);
    EXPECT_TRUE(reader->header().has(wire::dns_truncated));
    EXPECT_EQ(reader->header().counts[1], 0);
    EXPECT_LE(cut.size(), 512U);
  }
  EXPECT_EQ(wire::read_dns_header(most({opt(1232)})).counts[1], 60);
  EXPECT_EQ(
    parse_question(dns_question_for("a.test", dns_type::a, {opt(65000)}))->question.most_by_udp(),
    udp_size)
    << "no fragments";
}

} // namespace
} // namespace marchproxy::dns

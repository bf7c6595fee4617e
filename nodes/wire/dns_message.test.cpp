// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/dns_message.hpp"

#include "nodes/wire/dns_build.test.hpp"

#include <gtest/gtest.h>

namespace marchproxy::wire {
namespace {

using namespace std::string_literals;
using namespace testing;

/// Whether all of a message can be read. A copy of just its size: reading past it is seen by ASan.
bool reads(const std::string& message) {
  std::vector<char> copy(message.begin(), message.end());
  auto reader = dns_reader::open({copy.data(), copy.size()});
  if (!reader)
    return false;
  while (reader->next()) {
  }
  return reader->whole();
}

TEST(dns_message, every_record_of_every_section_is_read) {
  const auto message = dns_answer(
    "Www.Origin.Test", dns_type::a,
    {.answers = {dns_record_of(dns_the_question, dns_type::cname, dns_labels("cdn.test"), 300),
                 dns_record_of(dns_pointer_to(45), dns_type::a, "\x01\x02\x03\x04"s, 7)},
     .authority = {dns_record_of(dns_labels("test"), dns_type::ns, dns_pointer_to(16))},
     .additional = {dns_record_of("\0"s, dns_type::opt, "", 0x01008000, 1232)}});
  auto reader = dns_reader::open(message);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->header().id, 0x1234);
  EXPECT_TRUE(reader->header().has(dns_response));
  EXPECT_EQ(reader->question().name.text(), "www.origin.test");
  EXPECT_TRUE(reader->question().is(dns_type::a));
  auto alias = reader->next();
  ASSERT_TRUE(alias);
  EXPECT_TRUE(alias->is(dns_type::cname));
  EXPECT_EQ(alias->owner.text(), "www.origin.test");
  EXPECT_EQ(alias->ttl, 300U);
  EXPECT_EQ(alias->data, 45U);
  auto address = reader->next();
  ASSERT_TRUE(address);
  EXPECT_EQ(address->owner.text(), "cdn.test");
  EXPECT_EQ(message.substr(address->data, address->end - address->data), "\x01\x02\x03\x04");
  EXPECT_FALSE(reader->whole());
  EXPECT_EQ(reader->next()->section, 2U);
  auto opt = reader->next();
  ASSERT_TRUE(opt);
  EXPECT_FALSE(reader->next());
  EXPECT_TRUE(reader->whole());
  auto edns = read_dns_edns(*opt);
  ASSERT_TRUE(edns);
  EXPECT_EQ(edns->size, 1232);
  EXPECT_EQ(edns->high_rcode, 1);
  EXPECT_EQ(edns->version, 0);
  EXPECT_TRUE(edns->dnssec);
  EXPECT_EQ(message.substr(opt->begin), write_dns_edns(*edns));
  std::vector<std::size_t> targets;
  for (const auto& each : reader->pointers())
    targets.push_back(each.target);
  EXPECT_EQ(targets, (std::vector<std::size_t>{12, 45, 16}));
}

TEST(dns_message, what_is_cut_off_anywhere_is_not_whole) {
  const auto message = dns_answer(
    "a.test", dns_type::mx,
    {.answers = {dns_record_of(dns_the_question, dns_type::mx, "\0\5"s + dns_pointer_to(14))}});
  EXPECT_TRUE(reads(message));
  for (std::size_t size = 0; size < message.size(); ++size)
    EXPECT_FALSE(reads(message.substr(0, size))) << size;
  EXPECT_FALSE(reads(message + '\0')) << "nothing may stand behind it";
}

TEST(dns_message, pointers_lead_back_and_names_end) {
  const auto with = [](const std::string& owner) {
    return reads(dns_answer("a.test", dns_type::a,
                            {.answers = {dns_record_of(owner, dns_type::a, "\1\2\3\4"s)}}));
  };
  constexpr std::size_t here = 24; // where the owner stands
  EXPECT_TRUE(with(dns_pointer_to(12)));
  EXPECT_TRUE(with("\1b"s + dns_pointer_to(14)));
  EXPECT_FALSE(with(dns_pointer_to(here))) << "to itself";
  EXPECT_FALSE(with("\1b"s + dns_pointer_to(here))) << "around";
  EXPECT_FALSE(with(dns_pointer_to(here + 4))) << "onwards";
  EXPECT_FALSE(with(dns_pointer_to(0))) << "into the header";
  EXPECT_FALSE(with(dns_pointer_to(23))) << "to what goes on behind where it came from";
  EXPECT_FALSE(with("\x40"s + std::string(64, 'a') + '\0')) << "a label of an undefined kind";
  EXPECT_FALSE(with("\x80"s + '\0'));
  const auto label = '\x3f' + std::string(63, 'a');
  EXPECT_TRUE(with(label + label + label + '\x3d' + std::string(61, 'a') + '\0')) << "255 bytes";
  EXPECT_FALSE(with(label + label + label + '\x3e' + std::string(62, 'a') + '\0'));
}

TEST(dns_message, a_chain_of_pointers_is_followed_so_far_as_a_name_can_have_labels) {
  const auto chain = [](std::size_t jumps) {
    std::string data = "\0"s; // a root, and pointers each to the one before
    for (std::size_t i = 0; i < jumps; ++i)
      data += dns_pointer_to(i == 0 ? 36 : 37 + 2 * (i - 1));
    return reads(dns_answer("a.test", dns_type::a,
                            {.answers = {dns_record_of(dns_the_question, dns_type{9999}, data),
                                         dns_record_of(dns_pointer_to(37 + 2 * (jumps - 1)),
                                                       dns_type::a, "\1\2\3\4"s)}}));
  };
  EXPECT_TRUE(chain(126));
  EXPECT_FALSE(chain(127));
}

TEST(dns_message, names_in_data_fit_as_their_type_has_them) {
  struct one {
    dns_type type;
    std::string data;
    bool fits;
  };
  const auto name = dns_labels("b.test");
  for (const auto& [type, data, fits] : {
         one{dns_type::cname, name, true},
         one{dns_type::cname, name + "x", false},
         one{dns_type::cname, "", false},
         one{dns_type::soa, name + name + std::string(20, '\0'), true},
         one{dns_type::soa, name + name + std::string(19, '\0'), false},
         one{dns_type::srv, std::string(6, '\0') + name, true},
         one{dns_type::naptr, "\0\1\0\1\1u\3abc\0"s + name, true},
         one{dns_type::naptr, "\0\1\0\1\1u\3abc"s, false},
         one{dns_type::rrsig, dns_signature(dns_type::https), true},
         one{dns_type::rrsig, std::string(18, 'x'), false},
         one{dns_type{9999}, "\xc0\xff"s, true},
       })
    EXPECT_EQ(
      reads(dns_answer("a.test", type, {.answers = {dns_record_of(dns_the_question, type, data)}})),
      fits)
      << static_cast<int>(type) << ' ' << data.size();
}

TEST(dns_message, a_message_without_exactly_one_question_is_none) {
  auto message = dns_question_for("a.test", dns_type::a);
  EXPECT_TRUE(dns_reader::open(message));
  for (std::size_t count : {0U, 2U}) {
    put_dns_u16(message, 4, count);
    EXPECT_FALSE(dns_reader::open(message));
  }
  EXPECT_FALSE(dns_reader::open("short"));
}

TEST(dns_message, a_name_with_a_dot_in_a_label_has_no_text) {
  const auto text = [](const std::string& labels) {
    return dns_reader::open(write_dns_header({1, 0, {1, 0, 0, 0}}) + labels + "\0\1\0\1"s)
      ->question()
      .name.text();
  };
  EXPECT_EQ(text("\1A\4Test\0"s), "a.test");
  EXPECT_EQ(text("\6a.test\0"s), "");
  EXPECT_EQ(text("\0"s), "");
}

} // namespace
} // namespace marchproxy::wire

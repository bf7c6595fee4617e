// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/dns_ech.hpp"

#include "nodes/wire/dns_build.test.hpp"

#include <gtest/gtest.h>

namespace marchproxy::wire {
namespace {

using namespace std::string_literals;
using namespace testing;

const std::string alpn = dns_param(1, "\2h2");
const std::string ech = dns_param(5, "\0\4conf"s);
const std::string hint = dns_param(4, "\x7f\0\0\1"s);
const std::string beyond = dns_param(7, "/q");

struct stripped {
  bool good = false;
  std::size_t removed = 0;
  std::string message;
};

stripped strip(const std::string& message) {
  ech_stripper one;
  stripped out;
  std::vector<char> copy(message.begin(), message.end());
  if (auto told = one.strip({copy.data(), copy.size()}, out.message)) {
    out.good = true;
    out.removed = told->removed;
  }
  return out;
}

std::string https(const std::string& data, const std::string& owner = dns_the_question) {
  return dns_record_of(owner, dns_type::https, data);
}

constexpr unsigned without_ad = dns_response | dns_recursion_desired | dns_recursion_available;

TEST(ech_stripper, takes_the_parameter_and_leaves_all_else) {
  for (auto type : {dns_type::https, dns_type::svcb}) {
    const auto of = [&](const std::string& params, unsigned flags) {
      return dns_answer("a.test", type,
                        {.answers = {dns_record_of(dns_the_question, type, dns_svc(params))}},
                        flags);
    };
    auto got = strip(of(alpn + hint + ech + beyond, without_ad | dns_authentic_data));
    EXPECT_TRUE(got.good);
    EXPECT_EQ(got.removed, 1U);
    EXPECT_EQ(got.message, of(alpn + hint + beyond, without_ad)) << "AD does not hold any more";
    EXPECT_EQ(strip(of(ech, without_ad)).message, of("", without_ad));
  }
}

TEST(ech_stripper, what_has_none_stays_as_it_is) {
  const auto message = dns_answer(
    "a.test", dns_type::https,
    {.answers = {https(dns_svc(alpn + hint)),
                 dns_record_of(dns_the_question, dns_type::rrsig, dns_signature(dns_type::https)),
                 dns_record_of(dns_the_question, dns_type{16}, "\4ech="s)}});
  auto got = strip(message);
  EXPECT_TRUE(got.good);
  EXPECT_EQ(got.removed, 0U);
  EXPECT_EQ(got.message, message);
}

TEST(ech_stripper, a_mandatory_list_names_it_no_longer) {
  const auto of = [](const std::string& params) {
    return dns_answer("a.test", dns_type::https, {.answers = {https(dns_svc(params))}}, without_ad);
  };
  EXPECT_EQ(strip(of(dns_param(0, "\0\1\0\5"s) + alpn + ech)).message,
            of(dns_param(0, "\0\1"s) + alpn));
  EXPECT_EQ(strip(of(dns_param(0, "\0\5"s) + alpn + ech)).message, of(alpn))
    << "an empty list would be malformed";
  EXPECT_FALSE(strip(of(dns_param(0, "\0\5\0"s) + ech)).good);
  EXPECT_FALSE(strip(of(dns_param(0, "") + ech)).good);
}

TEST(ech_stripper, signatures_over_what_was_changed_go) {
  const auto of = [](const std::string& params, bool with_signature) {
    const auto other = dns_labels("other.test");
    dns_sections sections{
      .answers = {https(dns_svc(params)), https(dns_svc(alpn), other),
                  dns_record_of(other, dns_type::rrsig, dns_signature(dns_type::https)),
                  dns_record_of(dns_the_question, dns_type::rrsig, dns_signature(dns_type::a))}};
    if (with_signature)
      sections.answers.insert(
        sections.answers.begin() + 1,
        dns_record_of(dns_labels("A.test"), dns_type::rrsig, dns_signature(dns_type::https)));
    return dns_answer("a.test", dns_type::https, sections, without_ad);
  };
  EXPECT_EQ(strip(of(alpn + ech, true)).message, of(alpn, false));
  EXPECT_EQ(strip(of(alpn, true)).message, of(alpn, true));
}

TEST(ech_stripper, pointers_lead_where_they_led) {
  const auto of = [](const std::string& params, std::size_t where) {
    return dns_answer(
      "a.test", dns_type::https,
      {.answers = {https(dns_svc(params, dns_labels("svc.test")))},
       .authority = {dns_record_of(dns_labels("ns.org"), dns_type::ns, dns_labels("b.net"))},
       .additional = {dns_record_of(dns_pointer_to(38), dns_type::a, "\1\2\3\4"s),
                      dns_record_of(dns_pointer_to(where), dns_type::mx,
                                    "\0\1\1c"s + dns_pointer_to(where + 3))}},
      without_ad);
  };
  const auto params = alpn + ech;
  constexpr std::size_t behind_target = 48; // where parameters begin
  const auto kept = of(alpn, behind_target + alpn.size());
  EXPECT_EQ(strip(of(params, behind_target + params.size())).message, kept);
  EXPECT_EQ(strip(kept).message, kept);
}

TEST(ech_stripper, a_name_that_leads_into_what_goes_is_refused) {
  const auto of = [](std::size_t to, const std::string& value) {
    return dns_answer("a.test", dns_type::https,
                      {.answers = {https(dns_svc(dns_param(3, "\1x"s) + dns_param(5, value))),
                                   dns_record_of(dns_pointer_to(to), dns_type::a, "\1\2\3\4"s)}});
  };
  constexpr std::size_t value_of_port = 43;
  constexpr std::size_t value_of_ech = 49;
  EXPECT_FALSE(strip(of(value_of_ech, "\1y\0"s)).good);
  // It begins in what stays and goes on into what does not.
  EXPECT_FALSE(strip(of(value_of_port, "\0"s)).good);
}

TEST(ech_stripper, the_hop_s_own_record_goes) {
  const auto of = [](const std::vector<std::string>& additional) {
    return dns_answer("a.test", dns_type::a, {.additional = additional});
  };
  const auto opt = dns_record_of("\0"s, dns_type::opt, "\0\3\0\1x"s, 0, 1232);
  const auto other = dns_record_of(dns_the_question, dns_type::a, "\1\2\3\4"s);
  ech_stripper one;
  std::string out;
  auto told = one.strip(of({opt, other}), out);
  ASSERT_TRUE(told && told->edns);
  EXPECT_EQ(told->edns->size, 1232);
  EXPECT_EQ(out, of({other}));
  EXPECT_FALSE(one.strip(of({opt, opt}), out));
  EXPECT_FALSE(one.strip(of({dns_record_of(dns_the_question, dns_type::opt, "", 0, 1232)}), out));
}

TEST(ech_stripper, malformed_parameters_are_refused) {
  const auto good = [](const std::string& data) {
    return strip(dns_answer("a.test", dns_type::https, {.answers = {https(data)}})).good;
  };
  EXPECT_TRUE(good(dns_svc(alpn)));
  EXPECT_TRUE(good(dns_svc("")));
  EXPECT_FALSE(good(""));
  EXPECT_FALSE(good("\0\1"s));
  EXPECT_FALSE(good(dns_svc(ech + alpn))) << "not in order";
  EXPECT_FALSE(good(dns_svc(ech + ech))) << "twice";
  EXPECT_FALSE(good(dns_svc("\0\5\0\1"s))) << "cut off";
  EXPECT_FALSE(good(dns_svc("\0\5"s)));
  EXPECT_FALSE(good(dns_svc(ech, dns_the_question))) << "a compressed target";
}

} // namespace
} // namespace marchproxy::wire

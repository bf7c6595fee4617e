// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/port_set.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <random>

namespace marchproxy::model {
namespace {

using nlohmann::json;

struct text_case {
  std::string_view given;
  std::string_view canonical; ///< "!" when it must be refused
};

constexpr text_case texts[] = {
  {"80", "80"},
  {"1", "1"},
  {"65535", "65535"},
  {"8000-8080", "8000-8080"},
  {"80,443", "80,443"},
  {"443,80", "80,443"},
  {" 80 , 443 ", "80,443"},
  {"80\t,443", "80,443"},
  {"8000 - 8080", "8000-8080"},
  {"80,443,8000-8080", "80,443,8000-8080"},
  {"80,81,82", "80-82"},
  {"80-90,85-95", "80-95"},
  {"80-90,91", "80-91"},
  {"80,80,80", "80"},
  {"7-7", "7"},
  {"1-65535", "1-65535"},
  {"1-65534,65535", "1-65535"},
  {"", ""},
  {"  ", ""},
  {"*", ""},
  {"any", ""},
  {"all", ""},
  {"ANY", ""},
  {" all ", ""},
  {"0", "!"},
  {"65536", "!"},
  {"99999999999999999999", "!"},
  {"-1", "!"},
  {"+80", "!"},
  {"080", "!"},
  {"80.0", "!"},
  {"8e1", "!"},
  {"0x50", "!"},
  {"http", "!"},
  {"80,", "!"},
  {",80", "!"},
  {"80,,443", "!"},
  {"80 443", "!"},
  {"80;443", "!"},
  {"90-80", "!"},
  {"80-", "!"},
  {"-80", "!"},
  {"1-2-3", "!"},
  {"0-65535", "!"},
  {"80,any", "!"},
  {"80\n", "!"},
  {"\xc2\xb2", "!"},
  {"80\xe2\x80\x93"
   "90",
   "!"}, // an en dash
};

TEST(port_set, reads_texts_into_one_canonical_form) {
  for (const auto& [given, canonical] : texts) {
    SCOPED_TRACE(given);
    const auto got = parse_ports(given, "ports");
    if (canonical == "!") {
      ASSERT_FALSE(got);
      EXPECT_EQ(got.error().code, errc::invalid_argument);
      ASSERT_FALSE(got.error().fields.empty());
      EXPECT_EQ(got.error().fields[0].field, "ports");
    } else {
      ASSERT_TRUE(got) << to_string(got.error());
      EXPECT_EQ(got->text(), canonical);
    }
  }
}

struct json_case {
  const char* given;
  std::string_view canonical; ///< "!field" when it must be refused at that field
};

constexpr json_case jsons[] = {
  {"80", "80"},
  {"null", ""},
  {"[]", ""},
  {R"("80,443")", "80,443"},
  {R"(["80",443])", "80,443"},
  {R"([80,"443","8000-8080"])", "80,443,8000-8080"},
  {R"(["80,443",22])", "22,80,443"},
  {R"({"port":80})", "80"},
  {R"({"port":"80"})", "80"},
  {R"({"start":1,"end":9})", "1-9"},
  {R"({"from":1,"to":9})", "1-9"},
  {R"({"first":"1","last":9})", "1-9"},
  {R"({"type":"single","port":80})", "80"},
  {R"({"type":"range","start":8000,"end":8100})", "8000-8100"},
  {R"({"type":"list","ports":[80,443]})", "80,443"},
  {R"([{"type":"single","port":80},{"type":"range","start":90,"end":95},{"type":"list","ports":[443,444]}])",
   "80,90-95,443-444"},
  {R"(["any"])", ""},
  {R"(["*"])", ""},
  {"0", "!ports"},
  {"-1", "!ports"},
  {"65536", "!ports"},
  {"18446744073709551615", "!ports"},
  {"80.5", "!ports"},
  {"80.0", "!ports"},
  {"true", "!ports"},
  {"{}", "!ports"},
  {R"(["any",80])", "!ports"},
  {R"([80,443,22,"x"])", "!ports[3]"},
  {R"([80,null])", "!ports[1]"},
  {R"([80,false])", "!ports[1]"},
  {R"([0])", "!ports[0]"},
  {R"({"port":0})", "!ports.port"},
  {R"({"port":80,"name":"x"})", "!ports"},
  {R"({"start":1})", "!ports.end"},
  {R"({"end":1})", "!ports.start"},
  {R"({"start":1,"to":2})", "!ports.end"},
  {R"({"start":9,"end":1})", "!ports"},
  {R"({"start":null,"end":1})", "!ports.start"},
  {R"({"type":"bad","port":1})", "!ports.type"},
  {R"({"type":7,"port":1})", "!ports.type"},
  {R"([{"ports":[1,{"port":"y"}]}])", "!ports[0].ports[1].port"},
  {R"([[[[[[80]]]]]])", "!ports[0][0][0][0]"},
};

TEST(port_set, reads_json_of_every_client_and_names_the_bad_element) {
  for (const auto& [given, canonical] : jsons) {
    SCOPED_TRACE(given);
    const auto got = parse_ports_json(json::parse(given), "ports");
    if (canonical.substr(0, 1) == "!") {
      ASSERT_FALSE(got) << got->text();
      EXPECT_EQ(got.error().fields.at(0).field, canonical.substr(1));
    } else {
      ASSERT_TRUE(got) << to_string(got.error());
      EXPECT_EQ(got->text(), canonical);
    }
  }
}

TEST(port_set, collects_every_bad_element) {
  const auto got = parse_ports_json(json::parse(R"(["x",80,0,{"port":"z"}])"), "ports");
  ASSERT_FALSE(got);
  ASSERT_EQ(got.error().fields.size(), 3U);
  EXPECT_EQ(got.error().fields[0].field, "ports[0]");
  EXPECT_EQ(got.error().fields[1].field, "ports[2]");
  EXPECT_EQ(got.error().fields[2].field, "ports[3].port");
}

TEST(port_set, bounds_what_it_reads) {
  std::string odd;
  for (int port = 1; port < 2051; port += 2)
    odd += (odd.empty() ? "" : ",") + std::to_string(port);
  const auto many = parse_ports(odd, "ports"); // 1,025 ranges
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, errc::too_large);
  EXPECT_TRUE(parse_ports(odd.substr(odd.find(',') + 1), "ports")); // 1,024

  const auto longer = parse_ports(std::string(17 * 1024, ' '), "ports");
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code, errc::too_large);

  json list = json::array();
  for (int i = 0; i < 70'000; ++i)
    list.push_back(80);
  EXPECT_FALSE(parse_ports_json(list, "ports"));
}

TEST(port_set, allows_what_lies_in_a_range_or_everything_when_unrestricted) {
  const auto set = parse_ports("80,443,8000-8080,65535", "ports").value();
  for (const int port : {80, 443, 8000, 8040, 8080, 65535})
    EXPECT_TRUE(set.allows(static_cast<std::uint16_t>(port))) << port;
  for (const int port : {1, 79, 81, 442, 444, 7999, 8081, 65534})
    EXPECT_FALSE(set.allows(static_cast<std::uint16_t>(port))) << port;
  EXPECT_TRUE(port_set{}.allows(1));
  EXPECT_TRUE(port_set{}.unrestricted());
}

port_set random_set(std::mt19937& random) {
  std::vector<port_range> ranges(1 + random() % 8);
  for (auto& range : ranges) {
    range.first = static_cast<std::uint16_t>(1 + random() % 300);
    range.last = static_cast<std::uint16_t>(range.first + random() % 40);
  }
  return random() % 10 == 0 ? port_set{} : port_set{ranges};
}

TEST(port_set, text_and_intersection_agree_with_port_by_port_checks_on_random_sets) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  for (int round = 0; round < 300; ++round) {
    const auto a = random_set(random);
    const auto b = random_set(random);
    EXPECT_EQ(parse_ports(a.text(), "ports").value(), a);
    EXPECT_EQ(parse_ports_json(json(a.text()), "ports").value(), a);
    const auto both = intersection(a, b);
    for (std::uint16_t port = 1; port < 400; ++port) {
      const bool found = std::any_of(both.begin(), both.end(), [&](const port_range& r) {
        return port >= r.first && port <= r.last;
      });
      ASSERT_EQ(found, a.allows(port) && b.allows(port)) << port;
    }
  }
}

} // namespace
} // namespace marchproxy::model

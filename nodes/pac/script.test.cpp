// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/pac/script.hpp"

#include "tests/support/random_policy.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace marchproxy::pac {

namespace {

using nlohmann::json;

constexpr const char* proxies = "PROXY proxy.test:8080";

/// Questions to PAC files, answered all at once by Node.js.
class questions {
public:
  void turn_to(const std::string& text) { lines_ += json{{"script", text}}.dump() + "\n"; }
  void ask(const std::string& url, const std::string& host) {
    lines_ += json{{"url", url}, {"host", host}}.dump() + "\n";
  }
  [[nodiscard]] std::vector<std::string> answers() const {
    marchproxy::testing::temporary_directory at;
    std::ofstream{at.path() / "in"} << lines_;
    auto command =
      "node " PAC_ASK " < " + (at.path() / "in").string() + " > " + (at.path() / "out").string();
    EXPECT_EQ(std::system(command.c_str()), 0);
    std::ifstream in{at.path() / "out"};
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);)
      out.push_back(line);
    return out;
  }

private:
  std::string lines_;
};

std::string in_url(const ip_address& address) {
  auto text = to_string(address);
  return address.family == ip_family::v6 ? "[" + text + "]" : text;
}

std::string answer_of(const policy::verdict& v) {
  return v.action == model::mapping_action::bypass && !v.auth_required ? "DIRECT" : proxies;
}

/// More bypasses than random policies have.
model::ruleset with_bypasses(model::ruleset rules) {
  for (auto& m : rules.mappings)
    if (m.action == model::mapping_action::allow && m.id.value % 2 == 0)
      m.action = model::mapping_action::bypass;
  return rules;
}

TEST(pac_script, answers_as_the_policy_decides) {
  questions all;
  std::vector<std::string> expected;
  std::vector<std::string> told;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    testing::policy_generator random{seed};
    testing::policy_shape shape;
    shape.mappings = 1 + seed * 3 % 60;
    shape.named = 0.4;
    auto rules = std::make_shared<model::ruleset>(with_bypasses(*random.ruleset(shape, seed)));
    auto compiled = policy::program::compile(rules);
    ASSERT_TRUE(compiled) << to_string(compiled.error());
    for (const auto& f : random.flows(*rules, 120, true)) {
      if (f.flow.protocol == model::protocol::icmp || f.flow.port == 0)
        continue;
      // A client knows a name or an address, not both.
      policy::flow asked{f.flow.source, {}, f.name, model::protocol::tcp, f.flow.port};
      if (f.name.empty())
        asked.destination = f.flow.destination;
      auto host = f.name.empty() ? in_url(*f.flow.destination) : f.name;
      all.turn_to(script(*rules, f.flow.source, proxies));
      all.ask("https://" + host + ":" + std::to_string(asked.port) + "/", host);
      expected.push_back(answer_of((*compiled)->decide(asked)));
      told.push_back("seed " + std::to_string(seed) + " " + f.text());
    }
  }
  auto got = all.answers();
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(got[i], expected[i]) << told[i];
  auto direct = std::count(expected.begin(), expected.end(), "DIRECT");
  EXPECT_GT(direct, 200) << "the policies are to bypass a good part";
  EXPECT_GT(std::count(expected.begin(), expected.end(), proxies), 200);
}

model::ruleset site() {
  model::ruleset rules;
  rules.cluster = cluster_id{1};
  rules.revision = revision{7};
  auto service = [&](std::uint64_t id, model::service_address address, std::uint16_t port) {
    model::service s;
    s.id = service_id{id};
    s.name = "s" + std::to_string(id);
    s.address = std::move(address);
    s.ports = model::port_set{{{port, port}}};
    rules.services.push_back(std::move(s));
  };
  service(1, model::dns_name{"intra.test", true}, 443);
  service(2, *parse_prefix("2001:db8::/32"), 80);
  service(3, *parse_prefix("203.0.113.0/24"), 80);
  model::mapping m;
  m.id = mapping_id{1};
  m.action = model::mapping_action::bypass;
  m.sources = {model::select_all{}};
  m.destinations = {service_id{1}, service_id{2}, service_id{3}};
  m.allow_private = true; // documentation ranges are special
  rules.mappings.push_back(m);
  return rules;
}

TEST(pac_script, reads_urls_and_hosts_as_browsers_write_them) {
  questions all;
  all.turn_to(script(site(), ip_address::v4(0x0a000001), proxies));
  const std::vector<std::array<const char*, 3>> cases = {
    {"https://a.intra.test/", "a.intra.test", "DIRECT"},
    {"HTTPS://A.INTRA.TEST/x", "A.Intra.Test", "DIRECT"},
    {"https://a.intra.test./", "a.intra.test.", "DIRECT"},
    {"wss://a.intra.test/", "a.intra.test", "DIRECT"},
    {"https://user:pw@a.intra.test:443/", "a.intra.test", "DIRECT"},
    {"https://user@a.intra.test:8443/", "a.intra.test", proxies},
    {"http://a.intra.test/", "a.intra.test", proxies},
    {"https://intra.test/", "intra.test", proxies},
    {"https://notintra.test/", "notintra.test", proxies},
    {"http://[2001:db8::1]/", "2001:db8::1", "DIRECT"},
    {"http://[2001:db8::1]:80/", "[2001:db8::1]", "DIRECT"},
    {"http://[2001:DB8:0:0:0:0:1.2.3.4]/", "2001:DB8:0:0:0:0:1.2.3.4", "DIRECT"},
    {"http://[2001:db9::1]/", "2001:db9::1", proxies},
    {"http://[::ffff:203.0.113.9]/", "::ffff:203.0.113.9", "DIRECT"},
    {"http://[::ffff:cb00:7109]/", "::ffff:cb00:7109", "DIRECT"},
    {"http://203.0.113.9/", "203.0.113.9", "DIRECT"},
    {"http://203.0.114.9/", "203.0.114.9", proxies},
    {"http://203.0.113.999/", "203.0.113.999", proxies},
    {"http://1::2::3/", "1::2::3", proxies},
    {"gopher://203.0.113.9/", "203.0.113.9", proxies},
    {"nonsense", "nonsense", proxies},
  };
  for (const auto& c : cases)
    all.ask(c[0], c[1]);
  auto got = all.answers();
  ASSERT_EQ(got.size(), cases.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_EQ(got[i], cases[i][2]) << cases[i][0];
}

TEST(pac_script, leaves_out_what_makes_no_difference) {
  auto rules = site();
  model::mapping deny;
  deny.id = mapping_id{2};
  deny.sources = {model::select_all{}};
  model::service other;
  other.id = service_id{4};
  other.address = model::dns_name{"other.test", false};
  rules.services.push_back(other);
  deny.destinations = {service_id{4}};
  rules.mappings.push_back(deny);
  auto text = script(rules, ip_address::v4(0x0a000001), proxies);
  EXPECT_EQ(text.find("other.test"), std::string::npos);
  EXPECT_NE(text.find("intra.test"), std::string::npos);
  EXPECT_NE(text.find("revision 7"), std::string::npos);
}

} // namespace

} // namespace marchproxy::pac

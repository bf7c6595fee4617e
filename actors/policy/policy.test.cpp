// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/explain.hpp"
#include "actors/policy/program.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace marchproxy::policy {
namespace {

using model::mapping_action;

/// A ruleset written down in a few words.
struct book {
  std::shared_ptr<model::ruleset> rules = std::make_shared<model::ruleset>();

  book() { rules->revision = marchproxy::revision{7}; }

  service_id service(const char* address, const char* collection = "") {
    model::service s;
    s.id = service_id{rules->services.size() + 1};
    s.name = "s" + std::to_string(s.id.value);
    s.collection = collection;
    auto prefix = parse_prefix(address);
    auto text = std::string_view{address};
    if (prefix)
      s.address = *prefix;
    else if (text.starts_with("*."))
      s.address = model::dns_name{std::string{text.substr(2)}, true};
    else
      s.address = model::dns_name{std::string{text}, false};
    rules->services.push_back(s);
    return s.id;
  }

  model::mapping&
  map(model::selector from, model::selector to, mapping_action action = mapping_action::allow) {
    model::mapping m;
    m.id = mapping_id{rules->mappings.size() + 1};
    m.sources = {from};
    m.destinations = {to};
    m.action = action;
    rules->mappings.push_back(m);
    return rules->mappings.back();
  }

  std::shared_ptr<const program> compile() const {
    auto out = program::compile(rules);
    EXPECT_TRUE(out) << (out ? "" : to_string(out.error()));
    return out.value_or(nullptr);
  }
};

flow to_address(const char* source, const char* destination, std::uint16_t port = 443) {
  return {*parse_ip(source), parse_ip(destination), {}, model::protocol::tcp, port};
}

flow to_name(const char* source, const char* name, std::optional<ip_address> address = {}) {
  return {*parse_ip(source), address, name, model::protocol::tcp, 443};
}

verdict judge(const book& b, const flow& f) {
  auto compiled = b.compile();
  auto got = compiled->decide(f);
  EXPECT_EQ(got, reference_decide(*b.rules, f));
  return got;
}

TEST(policy, nothing_matches_means_deny) {
  book b;
  auto v = judge(b, to_address("10.0.0.1", "8.8.8.8"));
  EXPECT_FALSE(v.allowed());
  EXPECT_FALSE(v.mapping);
  EXPECT_EQ(v.revision.value, 7u);
}

TEST(policy, lowest_priority_number_wins_over_specificity) {
  book b;
  auto from = b.service("10.1.0.0/16");
  b.map(from, b.service("8.8.8.8")).priority = 200;
  b.map(from, model::select_all{}, mapping_action::deny).priority = 50;
  EXPECT_EQ(judge(b, to_address("10.1.2.3", "8.8.8.8")).mapping.value, 2u);
}

TEST(policy, more_specific_destination_then_source_then_id_breaks_ties) {
  book b;
  auto wide = b.service("10.0.0.0/8");
  auto narrow = b.service("10.1.0.0/16");
  auto net = b.service("8.8.0.0/16");
  auto host = b.service("8.8.8.8");
  b.map(narrow, net, mapping_action::deny);
  b.map(wide, host);
  EXPECT_EQ(judge(b, to_address("10.1.2.3", "8.8.8.8")).mapping.value, 2u);
  b.map(narrow, host, mapping_action::deny);
  EXPECT_EQ(judge(b, to_address("10.1.2.3", "8.8.8.8")).mapping.value, 3u);
  b.map(narrow, host);
  EXPECT_EQ(judge(b, to_address("10.1.2.3", "8.8.8.8")).mapping.value, 3u);
}

TEST(policy, ports_of_mapping_and_service_both_restrict) {
  book b;
  auto to = b.service("8.8.8.8");
  b.rules->services.back().ports = model::port_set{{{80, 90}}};
  b.map(b.service("10.0.0.0/8"), to).ports = model::port_set{{{85, 95}}};
  EXPECT_TRUE(judge(b, to_address("10.0.0.1", "8.8.8.8", 85)).allowed());
  EXPECT_TRUE(judge(b, to_address("10.0.0.1", "8.8.8.8", 90)).allowed());
  EXPECT_FALSE(judge(b, to_address("10.0.0.1", "8.8.8.8", 84)).allowed());
  EXPECT_FALSE(judge(b, to_address("10.0.0.1", "8.8.8.8", 91)).allowed());
}

TEST(policy, all_does_not_reach_private_ranges_unless_the_mapping_says_so) {
  book b;
  auto& open = b.map(b.service("10.1.0.0/16"), model::select_all{});
  EXPECT_TRUE(judge(b, to_address("10.1.0.1", "8.8.8.8")).allowed());
  EXPECT_FALSE(judge(b, to_address("10.1.0.1", "169.254.169.254")).allowed());
  EXPECT_FALSE(judge(b, to_address("10.1.0.1", "::1")).allowed());
  EXPECT_FALSE(judge(b, to_name("10.1.0.1", "evil.example", parse_ip("127.0.0.1"))).allowed());
  open.allow_private = true;
  EXPECT_TRUE(judge(b, to_address("10.1.0.1", "169.254.169.254")).allowed());
  EXPECT_TRUE(judge(b, to_name("10.1.0.1", "evil.example", parse_ip("127.0.0.1"))).allowed());
}

TEST(policy, a_prefix_inside_a_private_range_names_it) {
  book b;
  b.map(b.service("10.1.0.0/16"), b.service("192.168.7.0/24"));
  EXPECT_TRUE(judge(b, to_address("10.1.0.1", "192.168.7.9")).allowed());
  EXPECT_FALSE(judge(b, to_name("10.1.0.1", "rebind.example", parse_ip("192.168.7.9"))).allowed());
}

TEST(policy, a_deny_for_all_holds_in_private_ranges_too) {
  book b;
  auto from = b.service("10.1.0.0/16");
  b.map(from, model::select_all{}, mapping_action::deny).priority = 1;
  b.map(from, b.service("192.168.7.0/24"));
  EXPECT_EQ(judge(b, to_address("10.1.0.1", "192.168.7.9")).mapping.value, 1u);
}

TEST(policy, names_match_exactly_or_below_a_wildcard) {
  book b;
  auto from = b.service("10.1.0.0/16");
  b.map(from, b.service("*.example.org"));
  b.map(from, b.service("bad.example.org"), mapping_action::deny);
  EXPECT_EQ(judge(b, to_name("10.1.0.1", "www.example.org")).mapping.value, 1u);
  EXPECT_EQ(judge(b, to_name("10.1.0.1", "a.b.example.org")).mapping.value, 1u);
  EXPECT_EQ(judge(b, to_name("10.1.0.1", "bad.example.org")).mapping.value, 2u);
  EXPECT_EQ(judge(b, to_name("10.1.0.1", "x.bad.example.org")).mapping.value, 1u);
  EXPECT_FALSE(judge(b, to_name("10.1.0.1", "example.org")).allowed());
  EXPECT_FALSE(judge(b, to_name("10.1.0.1", "badexample.org")).allowed());
}

TEST(policy, many_sources_to_one_destination_are_indexed) {
  book b;
  auto to = b.service("8.8.8.0/24");
  for (int i = 0; i < 200; ++i)
    b.map(b.service(("10.0." + std::to_string(i) + ".0/24").c_str()), to,
          i % 3 == 0 ? mapping_action::deny : mapping_action::allow);
  auto wide = b.service("10.0.0.0/8");
  b.map(wide, to);
  for (int i = 0; i < 256; ++i) {
    auto source = "10.0." + std::to_string(i) + ".9";
    EXPECT_EQ(judge(b, to_address(source.c_str(), "8.8.8.1")).mapping.value, i < 200 ? i + 1 : 201);
  }
}

TEST(policy, a_named_source_is_refused_with_the_field) {
  book b;
  b.map(b.service("db.example.org"), model::select_all{});
  auto out = program::compile(b.rules);
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().fields.at(0).field, "mappings[1].sources[0]");
}

TEST(policy, the_same_ruleset_has_the_same_hash_and_another_has_not) {
  book b;
  auto from = b.service("10.1.0.0/16");
  b.map(from, model::select_all{});
  auto first = b.compile()->hash();
  EXPECT_EQ(first, b.compile()->hash());
  b.rules->mappings[0].priority = 99;
  b.map(from, model::select_all{}, mapping_action::deny);
  EXPECT_NE(first, b.compile()->hash());
}

TEST(policy, an_observed_mapping_refuses_as_before_and_says_that_it_is_observed) {
  book b;
  auto from = b.service("10.1.0.0/16");
  b.map(from, b.service("8.8.8.0/24"), mapping_action::deny).observe = true;
  b.map(from, b.service("9.9.9.9"), mapping_action::deny);
  auto watched = judge(b, to_address("10.1.0.1", "8.8.8.8"));
  EXPECT_FALSE(watched.allowed());
  EXPECT_TRUE(watched.observe);
  EXPECT_FALSE(judge(b, to_address("10.1.0.1", "9.9.9.9")).observe);
  EXPECT_FALSE(judge(b, to_address("10.1.0.1", "1.1.1.1")).observe) << "no mapping's: refused";
}

TEST(policy, an_observed_cluster_observes_what_no_mapping_decides_but_never_leads_to_the_node) {
  book b;
  b.rules->observe = true;
  b.map(b.service("10.1.0.0/16"), model::select_all{}).priority = 65535;
  b.map(b.service("10.2.0.0/16"), model::select_all{}, mapping_action::deny).priority = 65535;
  EXPECT_EQ(judge(b, to_address("10.2.0.1", "8.8.8.8")).mapping.value, 2u);
  EXPECT_TRUE(judge(b, to_address("10.2.0.1", "8.8.8.8")).observe);
  for (const auto* open :
       {"8.8.8.8", "10.9.9.9", "100.64.1.1", "192.168.1.1", "2001:db8::1", "fd00::1"}) {
    auto got = judge(b, to_address("10.9.0.1", open));
    EXPECT_FALSE(got.mapping) << open;
    EXPECT_TRUE(got.observe) << open;
    EXPECT_TRUE(judge(b, to_address("10.2.0.1", open)).observe) << open;
  }
  for (const auto* kept :
       {"127.0.0.1", "169.254.169.254", "0.0.0.0", "192.0.0.1", "224.0.0.1", "255.255.255.255",
        "::1", "::ffff:0:1.2.3.4", "fe80::1", "ff02::1", "100::1", "2001::1", "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1", "2002:7f00:1::"}) {
    EXPECT_FALSE(judge(b, to_address("10.9.0.1", kept)).observe) << kept;
    EXPECT_FALSE(judge(b, to_address("10.1.0.1", kept)).observe) << kept;
    EXPECT_FALSE(judge(b, to_address("10.2.0.1", kept)).observe) << kept;
    EXPECT_FALSE(judge(b, to_name("10.1.0.1", "evil.example", parse_ip(kept))).observe) << kept;
    EXPECT_FALSE(judge(b, to_name("10.2.0.1", "evil.example", parse_ip(kept))).observe) << kept;
  }
  EXPECT_TRUE(judge(b, to_name("10.9.0.1", "any.example")).observe);
  EXPECT_TRUE(judge(b, to_name("10.1.0.1", "evil.example", parse_ip("10.0.0.1"))).observe);
  b.rules->mappings[1].allow_private = true;
  EXPECT_TRUE(judge(b, to_address("10.2.0.1", "127.0.0.1")).observe) << "the mapping says so";
}

TEST(policy, observation_is_part_of_the_hash) {
  book b;
  auto& m = b.map(b.service("10.1.0.0/16"), model::select_all{}, mapping_action::deny);
  auto enforced = b.compile()->hash();
  m.observe = true;
  auto mapping_observed = b.compile()->hash();
  EXPECT_NE(enforced, mapping_observed);
  b.rules->observe = true;
  EXPECT_NE(mapping_observed, b.compile()->hash());
}

TEST(policy, explain_says_that_a_refusal_is_only_observed) {
  book b;
  auto from = b.service("10.1.0.0/16");
  b.map(from, b.service("8.8.8.8"), mapping_action::deny).observe = true;
  auto& keyed = b.map(from, b.service("9.9.9.9"));
  keyed.auth_required = true;
  keyed.observe = true;
  b.map(from, b.service("1.1.1.1")).observe = true;
  auto told = [&](const char* to) {
    return to_json(*explain(*b.compile(), to_address("10.1.0.1", to)));
  };
  auto denied = told("8.8.8.8");
  EXPECT_EQ(denied["verdict"], "deny");
  EXPECT_EQ(denied["reason"], "mapping_deny");
  EXPECT_EQ(denied["observed"], true);
  EXPECT_EQ(denied["steps"].back()["name"], "observe");
  EXPECT_EQ(told("9.9.9.9")["observed"], true) << "passes without credentials";
  EXPECT_EQ(told("1.1.1.1")["observed"], false) << "nothing to observe: it is allowed";
  EXPECT_EQ(told("2.2.2.2")["observed"], false);
  b.rules->observe = true;
  EXPECT_EQ(told("2.2.2.2")["observed"], true);
  EXPECT_EQ(told("2.2.2.2")["reason"], "implicit_deny");
}

TEST(policy, explain_names_the_nearest_mapping_and_what_it_lacks) {
  book b;
  auto from = b.service("10.1.0.0/16");
  auto to = b.service("8.8.8.8");
  b.map(from, to).ports = model::port_set{{{80, 80}}};
  auto e = explain(*b.compile(), to_address("10.1.0.1", "8.8.8.8", 443));
  ASSERT_TRUE(e);
  EXPECT_EQ(e->reason, "implicit_deny");
  EXPECT_EQ(e->nearest_allow, mapping_id{1});
  EXPECT_EQ(e->nearest_misses, std::vector<std::string>{"port"});
  EXPECT_EQ(to_json(*e)["nearest_allow"]["mapping"], 1);
}

TEST(policy, explain_says_when_only_the_private_guard_refuses) {
  book b;
  b.map(b.service("10.1.0.0/16"), model::select_all{});
  auto e = explain(*b.compile(), to_address("10.1.0.1", "127.0.0.1"));
  ASSERT_TRUE(e);
  EXPECT_EQ(e->reason, "private_destination");
}

TEST(policy, explain_tells_the_limits_that_hold) {
  book b;
  auto from = b.service("10.1.0.0/16");
  auto to = b.service("8.8.8.0/24");
  auto closer = b.service("8.8.8.8");
  b.map(from, to);
  auto& limited = b.map(from, closer);
  model::limits ten;
  ten.requests = model::rate_limit{10, 1, 20};
  limited.limits = ten;
  model::limits two;
  two.per = model::limit_scope::source;
  two.max_connections = 2;
  for (auto& s : b.rules->services)
    if (s.id == to)
      s.limits = two;
  auto program = b.compile();
  auto e = explain(*program, to_address("10.1.0.1", "8.8.8.8"));
  ASSERT_TRUE(e);
  const auto told = to_json(*e);
  EXPECT_EQ(told["limits"]["mapping"]["requests"]["burst"], 20) << told.dump();
  EXPECT_EQ(told["limits"]["service"]["id"], to.value);
  EXPECT_EQ(told["limits"]["service"]["max_connections"], 2);
  const auto step = std::find_if(e->steps.begin(), e->steps.end(),
                                 [](const auto& s) { return s.name == "limits"; });
  ASSERT_NE(step, e->steps.end());
  EXPECT_NE(step->detail.find("10 requests a second (burst 20)"), std::string::npos);
  const auto other = to_json(*explain(*program, to_address("10.1.0.1", "8.8.8.9")));
  EXPECT_TRUE(other["limits"]["mapping"].is_null());
  const auto refused = to_json(*explain(*program, to_address("10.2.0.1", "8.8.8.8")));
  EXPECT_TRUE(refused["limits"]["service"].is_null());
}

} // namespace
} // namespace marchproxy::policy

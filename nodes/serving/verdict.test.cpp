// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/verdict.hpp"

#include <gtest/gtest.h>

namespace marchproxy::serving {
namespace {

relay::decision_record a_record() {
  relay::decision_record r;
  r.request = 0xab;
  r.via = relay::entry::socks5;
  r.source = {*parse_ip("10.0.0.1"), 4711};
  r.asked = "www.example.org:443";
  r.name = "www.example.org";
  r.sni = "cdn.example.org";
  r.limit = "mapping.7.requests";
  r.address = parse_ip("192.0.2.7");
  r.lease_ends = parse_time("2026-11-29T01:03:03.000000Z");
  r.port = 443;
  r.mapping = mapping_id{7};
  r.revision = revision{3};
  r.allowed = true;
  r.why = relay::reason::mapping_allow;
  r.bytes_up = 10;
  r.bytes_down = 20;
  r.started = *parse_time("2026-11-29T01:02:03.000000Z");
  r.ended = *parse_time("2026-11-29T01:02:03.250000Z");
  return r;
}

/// By the codec that everyone on the bus uses: what it refuses would reach nobody.
bus_schemas::flow_verdict through_the_bus(const bus_schemas::flow_verdict& v) {
  auto read = bus_schemas::decode<bus_schemas::flow_verdict>(bus_schemas::encode(v));
  EXPECT_TRUE(read) << to_string(read.error());
  return read.value_or(bus_schemas::flow_verdict{});
}

TEST(verdicts, say_who_where_why_and_how_much) {
  auto v = through_the_bus(to_verdict(a_record(), "egress-1", service_id{5}));
  EXPECT_EQ(v.proxy, "egress-1");
  EXPECT_EQ(v.tier, "sockets");
  EXPECT_EQ(v.request, "00000000000000ab");
  EXPECT_EQ(v.via, "socks5");
  EXPECT_EQ(to_string(v.protocol), "tcp");
  EXPECT_EQ(v.source, "10.0.0.1");
  EXPECT_EQ(v.source_port, 4711U);
  EXPECT_EQ(v.service, 5U);
  EXPECT_EQ(v.identity, std::nullopt);
  EXPECT_EQ(v.credential, std::nullopt);
  EXPECT_EQ(v.name, "www.example.org");
  EXPECT_EQ(v.sni, "cdn.example.org");
  EXPECT_EQ(v.limit, "mapping.7.requests");
  EXPECT_EQ(v.address, "192.0.2.7");
  EXPECT_EQ(v.lease_ends, "2026-11-29T01:03:03.000000Z");
  EXPECT_EQ(to_string(v.verdict), "allow");
  EXPECT_EQ(v.observed, std::nullopt);
  EXPECT_EQ(v.reason, "mapping_allow");
  EXPECT_EQ(v.mapping, 7U);
  EXPECT_EQ(v.revision, 3U);
  EXPECT_EQ(v.bytes_up, 10U);
  EXPECT_EQ(v.bytes_down, 20U);
  EXPECT_EQ(v.started, "2026-11-29T01:02:03.000000Z");
  EXPECT_EQ(v.ended, "2026-11-29T01:02:03.250000Z");
}

TEST(verdicts, of_a_refusal_by_nobody_have_no_mapping_no_address_and_no_service) {
  auto r = a_record();
  r.mapping = {};
  r.address = std::nullopt;
  r.lease_ends = std::nullopt;
  r.allowed = false;
  r.why = relay::reason::implicit_deny;
  r.protocol = model::protocol::udp;
  auto v = through_the_bus(to_verdict(r, "p", {}));
  EXPECT_EQ(v.mapping, std::nullopt);
  EXPECT_EQ(v.address, std::nullopt);
  EXPECT_EQ(v.lease_ends, std::nullopt);
  EXPECT_EQ(v.service, std::nullopt);
  EXPECT_EQ(to_string(v.verdict), "deny");
  EXPECT_EQ(to_string(v.protocol), "udp");
}

TEST(verdicts, of_what_is_only_observed_are_shadows_and_say_both_reasons) {
  auto r = a_record();
  r.allowed = true;
  r.observed = relay::reason::mapping_deny;
  r.why = relay::reason::connect_failed;
  auto v = through_the_bus(to_verdict(r, "p", {}));
  EXPECT_EQ(to_string(v.verdict), "shadow");
  EXPECT_EQ(v.observed, "mapping_deny");
  EXPECT_EQ(v.reason, "connect_failed");
}

TEST(verdicts, name_the_service_whose_credentials_held) {
  auto r = a_record();
  r.identity = service_id{9};
  r.credential = "k1";
  auto v = through_the_bus(to_verdict(r, "p", service_id{5}));
  EXPECT_EQ(v.service, 9U);
  EXPECT_EQ(v.identity, 9U);
  EXPECT_EQ(v.credential, "k1");
}

TEST(verdicts, are_readable_whatever_was_asked_for) {
  auto r = a_record();
  r.asked = "\xff\xfe\n\"" + std::string(1000, 'a');
  r.name = std::string(1000, '\x80');
  auto v = through_the_bus(to_verdict(r, "p", {}));
  EXPECT_EQ(v.asked.substr(0, 5), "???\"a");
  EXPECT_EQ(v.asked.size(), 300U);
}

TEST(verdicts, before_any_revision_too) {
  relay::decision_record r;
  r.why = relay::reason::no_policy;
  EXPECT_EQ(through_the_bus(to_verdict(r, "p", {})).reason, "no_policy");
}

std::shared_ptr<const policy::program>
program_with(std::initializer_list<std::pair<std::uint64_t, const char*>> services) {
  auto rules = std::make_shared<model::ruleset>();
  rules->cluster_name = "c";
  for (const auto& [id, address] : services) {
    model::service s;
    s.id = service_id{id};
    s.name = "s" + std::to_string(id);
    s.address = *parse_prefix(address);
    rules->services.push_back(std::move(s));
  }
  return *policy::program::compile(rules);
}

TEST(client_services, are_the_most_specific_ones_of_the_program_in_force) {
  client_services services;
  auto client = *parse_ip("10.1.2.3");
  EXPECT_EQ(services.at(nullptr, client), service_id{});
  auto first = program_with({{1, "10.0.0.0/8"}, {2, "10.1.0.0/16"}});
  EXPECT_EQ(services.at(first, client), service_id{2});
  EXPECT_EQ(services.at(first, client), service_id{2});
  EXPECT_EQ(services.at(first, *parse_ip("10.2.0.1")), service_id{1});
  EXPECT_EQ(services.at(first, *parse_ip("192.0.2.1")), service_id{});
  auto second = program_with({{1, "10.0.0.0/8"}, {3, "10.1.2.3/32"}});
  EXPECT_EQ(services.at(second, client), service_id{3});
}

} // namespace
} // namespace marchproxy::serving

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/limiting/limit_table.hpp"

#include "actors/policy/limited_service.hpp"

#include <gtest/gtest.h>

#include <random>

namespace marchproxy::limiting {
namespace {

using namespace std::chrono_literals;

const auto t0 = clock::time_point{} + 1h;

model::limits connections(std::uint64_t rate) {
  model::limits out;
  out.connections = model::rate_limit{rate, 1, rate};
  return out;
}

/// Services count from 1; each has limits unless it is told otherwise.
class limit_tables : public ::testing::Test {
protected:
  model::service& service(const char* address, const char* ports = "") {
    model::service out;
    out.id = service_id{rules.services.size() + 1};
    out.name = "s" + std::to_string(out.id.value);
    out.address = *model::parse_address(address, "address");
    out.ports = *model::parse_ports(ports, "ports");
    out.limits = connections(out.id.value);
    rules.services.push_back(out);
    return rules.services.back();
  }
  [[nodiscard]] std::shared_ptr<const limit_table> table() {
    return limit_table::build(rules, known, t0);
  }
  /// Id of the service whose limits hold; 0: none's.
  [[nodiscard]] std::uint64_t holds(const char* destination,
                                    std::string_view name = {},
                                    std::uint16_t port = 80,
                                    model::protocol protocol = model::protocol::tcp) {
    const auto found = table()->of({.mapping = {},
                                    .destination = parse_ip(destination),
                                    .name = name,
                                    .protocol = protocol,
                                    .port = port});
    EXPECT_EQ(found[0], nullptr);
    return found[1] ? found[1]->of().id : 0;
  }

  model::ruleset rules;
  meters known;
};

TEST_F(limit_tables, the_most_specific_service_with_limits_counts) {
  service("10.0.0.0/8");
  service("10.0.0.1");
  service("10.0.0.0/24").limits.reset();
  service("2001:db8::/32");
  EXPECT_EQ(holds("10.0.0.1"), 2U);
  EXPECT_EQ(holds("10.0.0.2"), 1U);
  EXPECT_EQ(holds("11.0.0.1"), 0U);
  EXPECT_EQ(holds("2001:db8::7"), 4U);
  rules.services[1].active = false;
  EXPECT_EQ(holds("10.0.0.1"), 1U);
}

TEST_F(limit_tables, ports_and_protocols_of_a_service_count) {
  service("10.0.0.1", "22");
  service("10.0.0.1", "80,443").protocols = static_cast<model::protocol_set>(model::protocol::tcp);
  service("10.0.0.1", "443");
  service("10.0.0.0/24");
  EXPECT_EQ(holds("10.0.0.1", {}, 22), 1U);
  EXPECT_EQ(holds("10.0.0.1", {}, 443), 2U);
  EXPECT_EQ(holds("10.0.0.1", {}, 443, model::protocol::udp), 3U);
  EXPECT_EQ(holds("10.0.0.1", {}, 8080), 4U);
}

TEST_F(limit_tables, a_name_counts_before_the_address_it_leads_to) {
  service("10.0.0.1");
  service("*.example.org");
  service("a.b.example.org");
  service("*.b.example.org");
  EXPECT_EQ(holds("10.0.0.1", "a.b.example.org"), 3U);
  EXPECT_EQ(holds("10.0.0.1", "c.b.example.org"), 4U);
  EXPECT_EQ(holds("10.0.0.1", "b.example.org"), 2U);
  EXPECT_EQ(holds("10.0.0.1", "example.org"), 1U);
  EXPECT_EQ(holds("10.0.0.2", "example.org"), 0U);
}

TEST_F(limit_tables, finds_what_a_look_at_every_service_finds) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random{seed};
  const auto one_of = [&](const auto& list) { return list[random() % std::size(list)]; };
  constexpr const char* addresses[] = {"10.0.0.1",   "10.0.0.0/30",   "10.0.0.0/8", "0.0.0.0/0",
                                       "2001:db8::", "2001:db8::/32", "::/0",       "a.b.c",
                                       "*.b.c",      "*.c",           "b.c",        "*.a.b.c"};
  constexpr const char* ports[] = {"", "80", "443", "80,443"};
  constexpr const char* destinations[] = {"10.0.0.1", "10.0.0.2", "11.0.0.1", "2001:db8::", "::1"};
  constexpr const char* names[] = {"", "a.b.c", "b.c", "c", "x.a.b.c", "other"};
  for (int round = 0; round < 100; ++round) {
    rules.services.clear();
    for (auto n = random() % 20; n > 0; --n) {
      auto& s = service(one_of(addresses), one_of(ports));
      s.protocols = static_cast<model::protocol_set>(random() % 4);
      s.active = random() % 8 != 0;
      if (random() % 4 == 0)
        s.limits.reset();
    }
    for (int i = 0; i < 50; ++i) {
      const auto* destination = one_of(destinations);
      const policy::flow f{.source = {},
                           .destination = parse_ip(destination),
                           .name = one_of(names),
                           .protocol =
                             random() % 2 == 0 ? model::protocol::tcp : model::protocol::udp,
                           .port = static_cast<std::uint16_t>(random() % 2 == 0 ? 80 : 443)};
      const auto* expected = policy::limited_service(rules, f);
      EXPECT_EQ(holds(destination, f.name, f.port, f.protocol),
                expected != nullptr ? expected->id.value : 0);
    }
  }
}

TEST_F(limit_tables, of_a_mapping_by_its_id) {
  model::mapping m;
  m.id = mapping_id{9};
  m.limits = connections(5);
  rules.mappings = {m};
  const auto found = table()->of({.mapping = mapping_id{9}, .destination = {}});
  ASSERT_TRUE(found[0]);
  EXPECT_EQ(found[0]->of(), (subject{subject::kind::mapping, 9}));
  EXPECT_FALSE(table()->of({.mapping = mapping_id{8}, .destination = {}})[0]);
  rules.mappings[0].active = false;
  EXPECT_TRUE(table()->all().empty());
}

TEST_F(limit_tables, what_is_used_up_outlives_revisions_that_do_not_change_the_limit) {
  service("10.0.0.1");
  auto first = table();
  const auto* meter = first->all().at(0).get();
  service("10.0.0.2");
  auto second = table();
  first.reset();
  EXPECT_EQ(second->all().at(0).get(), meter);
  // A revision that was prepared and given up has left nothing behind.
  rules.services[0].limits = connections(99);
  EXPECT_NE(table()->all().at(0).get(), meter);
  rules.services[0].limits = connections(1);
  EXPECT_EQ(table()->all().at(0).get(), meter);
}

} // namespace
} // namespace marchproxy::limiting

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/model.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <random>

namespace marchproxy::model {
namespace {

using nlohmann::json;

class random_values {
public:
  explicit random_values(unsigned seed) : random_{seed} {}

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool coin() { return below(2) == 0; }

  std::string name() {
    constexpr std::string_view letters = "abcXYZ019._-";
    std::string out = "s";
    for (auto n = below(8); n > 0; --n)
      out += letters[below(letters.size())];
    return out;
  }

  std::string prose() {
    constexpr std::array<std::string_view, 8> parts{"a", "\"", "\\", "/", "ü", "東", "😀", " "};
    std::string out;
    for (auto n = below(6); n > 0; --n)
      out += parts[below(parts.size())];
    return out;
  }

  port_set ports() {
    std::vector<port_range> ranges(below(4));
    for (auto& range : ranges) {
      range.first = static_cast<std::uint16_t>(1 + below(65'535));
      range.last = static_cast<std::uint16_t>(range.first + below(65'536U - range.first));
    }
    return port_set{ranges};
  }

  service_address address() {
    switch (below(4)) {
    case 0:
      return dns_name{"h" + std::to_string(below(99)) + ".example.org", coin()};
    case 1: {
      std::array<std::uint8_t, 16> bytes{0x20, 0x01, 0x0d, 0xb8};
      bytes[7] = static_cast<std::uint8_t>(below(256));
      return make_prefix(ip_address::v6(bytes), static_cast<std::uint8_t>(below(129)));
    }
    default:
      return make_prefix(ip_address::v4(static_cast<std::uint32_t>(random_())),
                         static_cast<std::uint8_t>(below(33)));
    }
  }

  std::optional<rate_limit> next_rate() {
    if (coin())
      return std::nullopt;
    const auto rate = 1 + below(1'000'000);
    return rate_limit{rate, static_cast<std::uint32_t>(coin() ? 1 : 1 + below(60)),
                      1 + below(rate * 1000)};
  }

  std::optional<limits> next_limits() {
    if (!limited)
      return std::nullopt;
    limits out;
    out.per = coin() ? limit_scope::together : limit_scope::source;
    out.connections = next_rate();
    out.requests = next_rate();
    out.packets = next_rate();
    out.bytes = next_rate();
    if (coin())
      out.max_connections = static_cast<std::uint32_t>(1 + below(1000));
    return out.empty() ? std::nullopt : std::optional{out};
  }

  service next_service(std::uint64_t id, cluster_id cluster) {
    service out{service_id{id},
                cluster,
                name() + std::to_string(id),
                prose(),
                address(),
                ports(),
                static_cast<protocol_set>(below(8)),
                coin() ? "" : "c" + std::to_string(below(3)),
                static_cast<auth_type>(below(3)),
                coin(),
                coin(),
                {},
                std::nullopt,
                coin()};
    if (coin())
      out.health = {coin(), "/h" + std::to_string(below(9)), std::chrono::seconds{1 + below(99)},
                    static_cast<std::uint32_t>(1 + below(9)),
                    static_cast<std::uint32_t>(1 + below(9))};
    if (out.ports.ranges().size() == 1 && out.ports.ranges()[0].first == out.ports.ranges()[0].last)
      out.listen_port = static_cast<std::uint16_t>(1 + below(65'535));
    out.limits = next_limits();
    if (is_single_host(out.address) && (out.protocols == 0 || has(out.protocols, protocol::tcp)))
      out.proxy_protocol = static_cast<proxy_header>(below(3));
    return out;
  }

  std::vector<selector> side(std::uint64_t services) {
    std::vector<selector> out;
    for (auto n = 1 + below(4); n > 0; --n)
      switch (below(4)) {
      case 0:
        out.emplace_back(select_all{});
        break;
      case 1:
        out.emplace_back(select_collection{"c" + std::to_string(below(3))});
        break;
      default:
        out.emplace_back(service_id{1 + below(services)});
      }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  mapping next_mapping(std::uint64_t id, cluster_id cluster, std::uint64_t services) {
    mapping out{
      mapping_id{id}, cluster,        prose(),
      side(services), side(services), static_cast<protocol_set>(below(8)),
      ports(),        coin(),         static_cast<std::uint32_t>(coin() ? 100 : below(65'536)),
      prose(),        coin(),         static_cast<mapping_action>(below(3)),
      coin()};
    if (out.action != mapping_action::deny)
      out.limits = next_limits();
    out.observe = coin();
    out.when_revoked = static_cast<revocation>(below(3));
    if (coin())
      out.drain_seconds = static_cast<std::uint32_t>(1 + below(longest_drain_seconds));
    return out;
  }

  /// Some of @p all, maybe none.
  std::vector<std::string> names(std::vector<std::string> all) {
    std::erase_if(all, [&](const std::string&) { return coin(); });
    return all;
  }

  ingress_route next_ingress_route(std::uint64_t id, cluster_id cluster, std::uint64_t services) {
    ingress_route out;
    out.id = ingress_route_id{id};
    out.cluster = cluster;
    out.name = name() + std::to_string(id);
    out.description = prose();
    out.listen_port = static_cast<std::uint16_t>(coin() ? 80 : 1 + below(65'535));
    out.retries = static_cast<std::uint32_t>(below(11));
    out.retry_budget = static_cast<std::uint32_t>(coin() ? 20 : below(101));
    out.slow_start = std::chrono::seconds{coin() ? 0 : below(3601)};
    out.max_requests = static_cast<std::uint32_t>(coin() ? 0 : 1 + below(1'000'000));
    out.active = coin();
    out.balancing = static_cast<balancing>(below(3));
    for (auto n = 1 + below(3); n > 0; --n)
      if (const ingress_backend one{service_id{1 + below(services)},
                                    static_cast<std::uint16_t>(coin() ? 0 : 1 + below(65'535)),
                                    static_cast<std::uint32_t>(coin() ? 1 : 1 + below(1000)),
                                    coin()};
          std::none_of(out.backends.begin(), out.backends.end(),
                       [&](const auto& other) { return other.service == one.service; }))
        out.backends.push_back(one);
    if (coin()) {
      out.tls.emplace();
      if (coin())
        out.tls->client_certificates.emplace();
      if (out.tls->client_certificates && coin())
        *out.tls->client_certificates = {names({"Ann \"A\"", "Bob"}),
                                         names({"a.example", "b.example"}),
                                         names({"spiffe://a/b", "urn:x"})};
    }
    if (coin()) {
      out.protocol = route_protocol::tcp;
      return out;
    }
    constexpr std::array<const char*, 4> hosts{"", "a.example", "*.example", "10.0.0.1"};
    constexpr std::array<const char*, 3> paths{"/", "/a", "/a/b%20c"};
    out.host = hosts[below(hosts.size())];
    out.path = paths[below(paths.size())];
    out.match = coin() ? path_match::prefix : path_match::exact;
    out.strip_prefix = coin();
    out.add_prefix = coin() ? "" : "/v2";
    if (coin())
      out.request_headers = {{"cookie", std::nullopt}, {"x-env", "a \"b\""}};
    if (coin())
      out.headers = {{"cookie", header_test::prefix, "beta \"1\""},
                     {"x-env", header_test::present, ""},
                     {"x-env", header_test::absent, ""},
                     {"x-env", header_test::value, "a"}};
    if (coin())
      out.response_headers = {{"server", std::nullopt}, {"x-frame-options", "DENY"}};
    if (coin()) {
      out.backends.clear();
      out.response_headers.clear();
      out.redirect = redirect{static_cast<std::uint16_t>(coin() ? 301 : 308), "https://a{path}"};
    }
    return out;
  }

  ruleset rules(std::uint64_t services, std::uint64_t mappings) {
    ruleset out{cluster_id{1 + below(9)}, "edge-1", revision{1 + below(1000)}, {}, {}, {}};
    out.observe = coin();
    for (auto i = below(4); i > 0; --i)
      out.ingress_routes.push_back(
        next_ingress_route(10 + out.ingress_routes.size(), out.cluster, services));
    for (std::uint64_t i = 1; i <= services; ++i)
      out.services.push_back(next_service(i, out.cluster));
    for (std::uint64_t i = 1; i <= mappings; ++i)
      out.mappings.push_back(next_mapping(i * 3, out.cluster, services));
    for (std::uint64_t i = 1; i <= services; i += 2)
      out.credentials.push_back(
        {"k" + std::to_string(i), service_id{i}, coin() ? auth_type::base64 : auth_type::jwt,
         coin() ? "" : "EdDSA", "-----BEGIN\nx" + prose(),
         coin() ? std::nullopt : std::optional<std::int64_t>{below(1'000'000)}});
    return out;
  }

  bool limited = false; ///< some services and mappings have limits

private:
  std::mt19937_64 random_;
};

/// Every service and collection that a random mapping names.
class everything final : public service_directory {
public:
  std::optional<service_id> find_by_name(std::string_view) const override { return std::nullopt; }
  bool exists(service_id) const override { return true; }
  bool collection_exists(std::string_view) const override { return true; }
  std::optional<service_address> address_of(service_id) const override {
    return service_address{make_prefix(ip_address::v4(1), 32)};
  }
  port_set ports_of(service_id) const override { return port_set{{{80, 80}}}; }
};

TEST(ruleset, canonical_json_reads_back_as_the_same_value) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  random_values random{seed};
  random.limited = true;
  for (int round = 0; round < 500; ++round) {
    auto one = random.next_service(7, cluster_id{1});
    if (one.listen_port) // needs a single host, which a random address seldom is
      one.listen_port.reset();
    const auto read = parse_service(to_json(one));
    ASSERT_TRUE(read) << to_string(read.error()) << to_json(one).dump();
    one.id = {};
    one.cluster = {};
    ASSERT_EQ(*read, one) << to_json(one).dump();

    auto rule = random.next_mapping(7, cluster_id{1}, 5);
    const auto read_rule = parse_mapping(to_json(rule), everything{});
    ASSERT_TRUE(read_rule) << to_string(read_rule.error()) << to_json(rule).dump();
    rule.id = {};
    rule.cluster = {};
    ASSERT_EQ(*read_rule, rule) << to_json(rule).dump();

    auto route = random.next_ingress_route(7, cluster_id{1}, 5);
    const auto read_route = parse_ingress_route(to_json(route), everything{});
    ASSERT_TRUE(read_route) << to_string(read_route.error()) << to_json(route).dump();
    route.id = {};
    route.cluster = {};
    ASSERT_EQ(*read_route, route) << to_json(route).dump();
  }
}

TEST(ruleset, decode_is_the_inverse_of_encode) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  random_values random{seed};
  random.limited = true;
  for (int round = 0; round < 200; ++round) {
    const auto rules = random.rules(1 + random.below(9), random.below(20));
    const auto bytes = encode(rules);
    ASSERT_TRUE(json::accept(bytes)) << bytes;
    const auto back = decode_ruleset(bytes);
    ASSERT_TRUE(back) << to_string(back.error()) << bytes;
    ASSERT_EQ(*back, rules);
  }
}

TEST(ruleset, a_changed_byte_is_refused_or_gives_another_ruleset_of_just_those_bytes) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  random_values random{seed};
  random.limited = true;
  const auto rules = random.rules(4, 8);
  const auto bytes = encode(rules);
  for (std::size_t at = 0; at < bytes.size(); ++at)
    for (const int flip : {1, 4, 32, 128}) {
      auto changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ flip);
      const auto got = decode_ruleset(changed);
      if (got) {
        ASSERT_EQ(encode(*got), changed);
        ASSERT_NE(*got, rules);
      } else {
        ASSERT_EQ(got.error().code, errc::corrupt);
      }
    }
  for (std::size_t size = 0; size < bytes.size(); ++size)
    ASSERT_FALSE(decode_ruleset(std::string_view{bytes}.substr(0, size)));
}

TEST(ruleset, refuses_what_encode_would_not_write) {
  const std::string head =
    R"({"format":1,"cluster":1,"cluster_name":"a","revision":1,"services":[)";
  const std::string web = R"({"id":1,"name":"web","address":"10.0.0.1"})";
  const std::string tail = R"(],"mappings":[],"credentials":[]})";
  ASSERT_TRUE(decode_ruleset(head + web + tail));
  ASSERT_TRUE(decode_ruleset(head + tail));
  const auto with_mapping = [&](const std::string& mapping) {
    return head + web + R"(],"mappings":[)" + mapping + R"(],"credentials":[]})";
  };
  ASSERT_TRUE(decode_ruleset(with_mapping(R"({"id":1,"sources":[1],"destinations":["all"]})")));
  const auto with_limits = [&](const std::string& limits) {
    return with_mapping(R"({"id":1,"sources":[1],"destinations":["all"],"limits":{)" + limits
                        + "}}");
  };
  ASSERT_TRUE(decode_ruleset(with_limits(
    R"("per":"source","max_connections":1,"bytes":{"rate":1,"interval":60,"burst":43200})")));
  const auto with_route = [&](const std::string& route) {
    return head + web + R"(],"mappings":[],"credentials":[],"ingress_routes":[)" + route + "]}";
  };
  ASSERT_TRUE(decode_ruleset(with_route(R"({"id":1,"name":"r","backends":[{"service":1}]})")));
  const std::string bad[] = {
    with_route(""),
    with_route(R"({"id":1,"name":"r","backends":[{"service":2}]})"),
    with_route(R"({"id":1,"name":"r"})"),
    with_route(R"({"id":1,"name":"r","backends":[]})"),
    with_route(R"({"id":1,"name":"r","listen_port":80,"backends":[{"service":1}]})"),
    with_route(R"({"id":1,"name":"r","listen_port":0,"backends":[{"service":1}]})"),
    with_route(R"({"id":1,"name":"r","host":"a b","backends":[{"service":1}]})"),
    with_route(R"({"id":1,"name":"r","path":"/../","backends":[{"service":1}]})"),
    with_route(R"({"id":1,"name":"r","backends":[{"service":1,"weight":0}]})"),
    with_route(
      R"({"id":1,"name":"r","backends":[{"service":1}],"request_headers":[{"name":"host"}]})"),
    with_route(
      R"({"id":1,"name":"r","backends":[{"service":1}],"response_headers":[{"name":"te"}]})"),
    with_route(R"({"id":1,"name":"r","headers":[{"name":"host"}],"backends":[{"service":1}]})"),
    with_route(
      R"({"id":1,"name":"r","headers":[{"name":"b"},{"name":"a"}],"backends":[{"service":1}]})"),
    with_route(
      R"({"id":1,"name":"r","headers":[{"name":"a"},{"name":"a"}],"backends":[{"service":1}]})"),
    with_route(
      R"({"id":1,"name":"r","headers":[{"name":"a","absent":false}],"backends":[{"service":1}]})"),
    with_route(R"({"id":1,"name":"r","redirect":{"status":305,"location":"/"}})"),
    with_route(R"({"id":1,"name":"r","backends":[{"service":1}],"tls":true})"),
    with_route(R"({"id":1,"name":"r","backends":[{"service":1}],"tls":{"x":1}})"),
    with_route(
      R"({"id":1,"name":"r","backends":[{"service":1}],"tls":{"client_certificates":{"uris":[]}}})"),
    "",
    "null",
    "{}",
    "[]",
    "1",
    "\xff",
    std::string(100'000, '['),
    head + web + tail + " ",
    " " + head + web + tail,
    head + web + R"(],"mappings":[],"credentials":[],"x":1})",
    head + web + R"(],"credentials":[],"mappings":[]})",
    head + web + R"(],"mappings":[]})",
    head + web + "," + web + tail,
    head + R"({"id":2,"name":"b","address":"b"},)" + web + tail,
    head + R"({"id":0,"name":"web","address":"10.0.0.1"})" + tail,
    head + R"({"id":01,"name":"web","address":"10.0.0.1"})" + tail,
    head + R"({"id":1.0,"name":"web","address":"10.0.0.1"})" + tail,
    head + R"({"id":1,"name":"w b","address":"10.0.0.1"})" + tail,
    head + R"({"id":1,"name":"w\u0065b","address":"10.0.0.1"})" + tail,
    head + R"({"id":1,"name":"web","address":"10.0.0.1/32"})" + tail,
    head + R"({"id":1,"name":"web","address":"A.example"})" + tail,
    head + R"({"id":1,"name":"web"})" + tail,
    head + R"({"id":1,"id":1,"name":"web","address":"10.0.0.1"})" + tail,
    head + R"({"id":1,"name":"web","address":"10.0.0.1","ports":""})" + tail,
    head + R"({"id":1,"name":"web","address":"10.0.0.1","ports":"443,80"})" + tail,
    head + R"({"id":1,"name":"web","address":"10.0.0.1","active":true})" + tail,
    head + R"({"id":1,"name":"web","address":"10.0.0.1","protocols":"udp,tcp"})" + tail,
    head + R"({"id":1,"name":"web","address":"10.0.0.1","auth_type":"none"})" + tail,
    head + R"({"id":1,"name":"web","address":"10.0.0.1","listen_port":65536})" + tail,
    with_limits(""),
    with_limits(R"("per":"together")"),
    with_limits(R"("per":"mapping","max_connections":1)"),
    with_limits(R"("max_connections":1)"),
    with_limits(R"("per":"source","max_connections":0)"),
    with_limits(R"("per":"source","requests":{})"),
    with_limits(R"("per":"source","requests":{"rate":1})"),
    with_limits(R"("per":"source","requests":{"rate":0,"burst":1})"),
    with_limits(R"("per":"source","requests":{"rate":1,"burst":0})"),
    with_limits(R"("per":"source","requests":{"rate":1,"burst":2592001})"),
    with_limits(R"("per":"source","requests":{"rate":1000000001,"burst":1})"),
    with_limits(R"("per":"source","requests":{"rate":1,"interval":1,"burst":1})"),
    with_limits(R"("per":"source","requests":{"rate":1,"interval":86401,"burst":1})"),
    with_limits(R"("per":"source","packets":{"rate":1000000001,"burst":1})"),
    with_limits(R"("per":"source","frames":{"rate":1,"burst":1})"),
    with_mapping(
      R"({"id":1,"sources":[1],"destinations":["all"],"action":"deny","limits":{"per":"source","max_connections":1}})"),
    with_mapping(R"({"id":1,"sources":[2],"destinations":["all"]})"),
    with_mapping(R"({"id":1,"sources":[],"destinations":["all"]})"),
    with_mapping(R"({"id":1,"sources":["all","all"],"destinations":["all"]})"),
    with_mapping(R"({"id":1,"sources":["all",1],"destinations":["all"]})"),
    with_mapping(R"({"id":1,"sources":["every"],"destinations":["all"]})"),
    with_mapping(R"({"id":1,"sources":[1],"destinations":["all"],"priority":65536})"),
    with_mapping(R"({"id":1,"sources":[1],"destinations":["all"],"action":"allow"})"),
    with_mapping(R"({"id":1,"sources":[1],"destinations":["all"],"when_revoked":"cut"})"),
    with_mapping(R"({"id":1,"sources":[1],"destinations":["all"],"drain_seconds":0})"),
    head + web
      + R"(],"mappings":[],"credentials":[{"service":2,"id":"k","kind":"jwt","verifier":"x"}]})",
  };
  for (const auto& bytes : bad) {
    const auto got = decode_ruleset(bytes);
    ASSERT_FALSE(got) << bytes.substr(0, 300);
    EXPECT_EQ(got.error().code, errc::corrupt);
  }
}

TEST(ruleset, a_hundred_thousand_mappings_come_back_as_they_were) {
  random_values random{1};
  const auto rules = random.rules(2000, 100'000);
  const auto back = decode_ruleset(encode(rules));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, rules);
}

TEST(ruleset, members_are_the_active_services_that_a_selector_names) {
  random_values random{7};
  auto rules = random.rules(40, 0);
  rules.services[4].active = true;
  rules.services[5].active = false;
  EXPECT_EQ(members(rules, service_id{5}), std::vector<const service*>{&rules.services[4]});
  EXPECT_TRUE(members(rules, service_id{6}).empty());
  EXPECT_TRUE(members(rules, service_id{999}).empty());
  EXPECT_TRUE(members(rules, select_all{}).empty());
  const auto in_c1 = members(rules, select_collection{"c1"});
  EXPECT_FALSE(in_c1.empty());
  for (const auto* one : in_c1)
    EXPECT_TRUE(one->active && one->collection == "c1");
}

TEST(ruleset, names_of_words_and_sets) {
  EXPECT_EQ(to_string(any_protocol), "any");
  EXPECT_EQ(to_string(protocol_set{5}), "tcp,icmp");
  EXPECT_EQ(to_string(protocol::udp), "udp");
  EXPECT_EQ(to_string(mapping_action::bypass), "bypass");
  EXPECT_EQ(to_string(auth_type::jwt), "jwt");
  EXPECT_EQ(to_json(cluster{cluster_id{3}, "a", "b", 4, true}),
            json::parse(R"({"id":3,"name":"a","description":"b","max_proxies":4,"observe":true})"));
}

} // namespace
} // namespace marchproxy::model

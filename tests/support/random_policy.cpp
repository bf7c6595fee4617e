// SPDX-License-Identifier: AGPL-3.0-only
#include "tests/support/random_policy.hpp"

#include <algorithm>

namespace marchproxy::testing {

namespace {

constexpr std::array<std::uint16_t, 8> usual_ports = {22, 53, 80, 443, 3306, 5432, 8080, 9090};
constexpr std::array<const char*, 6> domains = {"example.org", "svc.example.org", "db.example.net",
                                                "corp",        "a.b.corp",        "example.net"};

ip_address random_address(std::mt19937_64& random, bool ipv6) {
  if (!ipv6) {
    // Half of them close together, so that prefixes nest and special ranges are met.
    auto value = static_cast<std::uint32_t>(random());
    if ((random() & 1) != 0)
      value = 0x0a000000U | (value & 0x00ffffffU);
    return ip_address::v4(value);
  }
  std::array<std::uint8_t, 16> bytes{};
  for (auto& b : bytes)
    b = static_cast<std::uint8_t>(random());
  bytes[0] = (random() & 1) != 0 ? 0x20 : 0xfd;
  bytes[1] = 0x01;
  bytes[2] = static_cast<std::uint8_t>(random() & 3);
  return ip_address::v6(bytes);
}

} // namespace

ip_address policy_generator::address_in(const ip_prefix& prefix) {
  auto out = prefix.base;
  for (unsigned bit = prefix.length; bit < prefix.base.width(); ++bit)
    if ((random_() & 1) != 0)
      out.bytes[bit / 8] = static_cast<std::uint8_t>(out.bytes[bit / 8] | (0x80U >> (bit % 8)));
  return out;
}

ip_prefix
policy_generator::nested_prefix(bool ipv6, unsigned shortest, std::vector<ip_prefix>& pool) {
  // Most prefixes lie inside one that is there already: that is what "nested" means.
  if (!pool.empty() && chance(0.6)) {
    const auto& outer = pool[below(static_cast<std::uint32_t>(pool.size()))];
    if (outer.length < outer.base.width()) {
      auto more = 1 + below(outer.base.width() - outer.length);
      auto inner = make_prefix(address_in(outer), static_cast<std::uint8_t>(outer.length + more));
      pool.push_back(inner);
      return inner;
    }
  }
  auto width = ipv6 ? 128U : 32U;
  auto least = ipv6 ? shortest * 4 : shortest;
  auto length = least + below(width - least + 1);
  auto fresh = make_prefix(random_address(random_, ipv6), static_cast<std::uint8_t>(length));
  pool.push_back(fresh);
  return fresh;
}

model::port_set policy_generator::ports() {
  std::vector<model::port_range> ranges;
  auto count = below(4);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (chance(0.5)) {
      auto port = usual_ports[below(usual_ports.size())];
      ranges.push_back({port, port});
    } else {
      auto first = static_cast<std::uint16_t>(1 + below(65535));
      auto last = static_cast<std::uint16_t>(first + below(65536U - first));
      ranges.push_back({first, last});
    }
  }
  return model::port_set{ranges};
}

model::selector
policy_generator::side(const policy_shape& shape, const model::ruleset& rules, bool source) {
  if (chance(shape.wild))
    return model::select_all{};
  if (chance(shape.collections))
    return model::select_collection{"c" + std::to_string(below(4))};
  for (int tries = 0; tries < 16; ++tries) {
    const auto& s = rules.services[below(static_cast<std::uint32_t>(rules.services.size()))];
    if (!source || std::holds_alternative<ip_prefix>(s.address))
      return s.id;
  }
  return model::select_all{};
}

model::mapping policy_generator::mapping(const policy_shape& shape,
                                         const model::ruleset& rules,
                                         std::uint64_t id) {
  model::mapping m;
  m.id = mapping_id{id};
  m.cluster = rules.cluster;
  for (auto n = 1 + below(2); n > 0; --n)
    m.sources.push_back(side(shape, rules, true));
  for (auto n = 1 + below(2); n > 0; --n)
    m.destinations.push_back(side(shape, rules, false));
  auto tidy = [](std::vector<model::selector>& list) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  };
  tidy(m.sources);
  tidy(m.destinations);
  m.protocols = static_cast<model::protocol_set>(below(8) & (chance(0.5) ? 7 : 3));
  m.ports = ports();
  m.auth_required = chance(0.1);
  m.priority = chance(0.6) ? 100 : 90 + below(20);
  m.active = !chance(0.05);
  m.action = chance(0.6)
               ? model::mapping_action::allow
               : (chance(0.8) ? model::mapping_action::deny : model::mapping_action::bypass);
  m.allow_private = chance(0.4);
  m.observe = shape.observed > 0 && chance(shape.observed); // none: what is drawn stays as it was
  if (shape.limited > 0 && m.action != model::mapping_action::deny && chance(shape.limited))
    m.limits = limits();
  if (shape.lenient > 0 && chance(shape.lenient)) {
    m.when_revoked = static_cast<model::revocation>(1 + below(2));
    m.drain_seconds = 1 + below(model::longest_drain_seconds);
  }
  return m;
}

/// Far from what a test's packets use up.
model::limits policy_generator::limits() {
  model::limits out;
  out.per = chance(0.5) ? model::limit_scope::source : model::limit_scope::together;
  constexpr std::uint32_t bound = 1'000'000;
  const auto rate = [&] { return model::rate_limit{bound + below(bound), 1, bound}; };
  if (chance(0.5))
    out.connections = rate();
  if (chance(0.5))
    out.packets = rate();
  if (chance(0.5))
    out.bytes = model::rate_limit{1'000'000'000, 1, 1'000'000'000};
  if (out.empty() || chance(0.3))
    out.requests = rate(); // which no packet is held to
  return out;
}

std::shared_ptr<const model::ruleset> policy_generator::ruleset(const policy_shape& shape,
                                                                std::uint64_t revision) {
  auto rules = std::make_shared<model::ruleset>();
  rules->cluster = cluster_id{1};
  rules->cluster_name = "random";
  rules->revision = marchproxy::revision{revision};
  std::vector<ip_prefix> pool4;
  std::vector<ip_prefix> pool6;
  for (std::size_t i = 0; i < shape.services; ++i) {
    model::service s;
    s.id = service_id{i + 1};
    s.cluster = rules->cluster;
    s.name = "s" + std::to_string(i + 1);
    if (chance(shape.named)) {
      auto wildcard = chance(0.4);
      std::string name = domains[below(domains.size())];
      s.address = model::dns_name{wildcard ? name : (chance(0.5) ? "www." + name : name), wildcard};
    } else {
      auto ipv6 = chance(shape.ipv6);
      s.address = nested_prefix(ipv6, shape.shortest_prefix, ipv6 ? pool6 : pool4);
    }
    if (chance(0.3))
      s.ports = ports();
    s.protocols =
      chance(0.7) ? model::any_protocol : static_cast<model::protocol_set>(1 + below(7));
    if (chance(0.4))
      s.collection = "c" + std::to_string(below(4));
    s.active = !chance(0.03);
    if (shape.limited > 0 && chance(shape.limited))
      s.limits = limits();
    rules->services.push_back(std::move(s));
  }
  for (std::size_t i = 0; i < shape.mappings; ++i)
    rules->mappings.push_back(mapping(shape, *rules, i + 1));
  rules->observe = shape.observe_all;
  return rules;
}

std::shared_ptr<const model::ruleset> policy_generator::nested(const nested_shape& shape,
                                                               std::uint64_t revision) {
  auto rules = std::make_shared<model::ruleset>();
  rules->cluster = cluster_id{1};
  rules->cluster_name = "nested";
  rules->revision = marchproxy::revision{revision};
  std::vector<ip_prefix> from;
  std::vector<ip_prefix> to;
  for (std::size_t i = 0; i < shape.rules; ++i)
    for (auto* pool : {&from, &to}) {
      model::service s;
      s.id = service_id{rules->services.size() + 1};
      s.cluster = rules->cluster;
      s.name = "s" + std::to_string(s.id.value);
      s.address = nested_prefix(shape.ipv6, 8, *pool);
      rules->services.push_back(std::move(s));
    }
  for (std::size_t i = 0; i < shape.rules; ++i) {
    model::mapping m;
    m.id = mapping_id{i + 1};
    m.cluster = rules->cluster;
    m.sources = {service_id{2 * i + 1}};
    m.destinations = {service_id{2 * i + 2}};
    m.protocols =
      static_cast<model::protocol_set>(chance(0.7) ? model::protocol::tcp : model::protocol::udp);
    auto port = usual_ports[below(usual_ports.size())];
    m.ports = model::port_set{{{port, port}}};
    m.action = chance(0.75) ? model::mapping_action::allow : model::mapping_action::deny;
    m.allow_private = true;
    rules->mappings.push_back(std::move(m));
  }
  return rules;
}

std::vector<flow_case>
policy_generator::flows(const model::ruleset& rules, std::size_t count, bool with_names) {
  std::vector<flow_case> out;
  out.reserve(count);
  auto address_of = [&](const std::vector<model::selector>& sides, flow_case& f, bool source) {
    auto pick = sides[below(static_cast<std::uint32_t>(sides.size()))];
    auto some = model::members(rules, pick);
    if (some.empty())
      return;
    const auto* s = some[below(static_cast<std::uint32_t>(some.size()))];
    if (const auto* prefix = std::get_if<ip_prefix>(&s->address)) {
      (source ? f.flow.source : f.flow.destination.emplace()) = address_in(*prefix);
    } else if (!source && with_names) {
      const auto& name = std::get<model::dns_name>(s->address);
      f.name = (name.wildcard || chance(0.2) ? "x." : "") + name.name;
    }
  };
  for (std::size_t i = 0; i < count; ++i) {
    flow_case f;
    auto ipv6 = chance(0.3);
    f.flow.source = random_address(random_, ipv6);
    f.flow.destination = random_address(random_, ipv6);
    f.flow.protocol = std::array{model::protocol::tcp, model::protocol::udp, model::protocol::tcp,
                                 model::protocol::icmp}[below(4)];
    f.flow.port = chance(0.5) ? usual_ports[below(usual_ports.size())]
                              : static_cast<std::uint16_t>(below(65536));
    if (!rules.mappings.empty() && chance(0.8)) {
      const auto& m = rules.mappings[below(static_cast<std::uint32_t>(rules.mappings.size()))];
      address_of(m.sources, f, true);
      address_of(m.destinations, f, false);
      if (!m.ports.unrestricted() && chance(0.7)) {
        const auto& r =
          m.ports.ranges()[below(static_cast<std::uint32_t>(m.ports.ranges().size()))];
        f.flow.port = chance(0.5) ? r.first : r.last;
      }
      if (m.protocols != 0 && chance(0.7))
        f.flow.protocol = static_cast<model::protocol>(m.protocols & -m.protocols);
    }
    // A packet has one family.
    if (!with_names && f.flow.destination->family != f.flow.source.family)
      f.flow.destination = random_address(random_, f.flow.source.family == ip_family::v6);
    if (with_names && f.name.empty() && chance(0.1))
      f.name = "unknown.example.com";
    if (with_names && !f.name.empty() && chance(0.3))
      f.flow.destination.reset();
    if (f.flow.protocol == model::protocol::icmp)
      f.flow.port = 0;
    out.push_back(std::move(f));
  }
  return out;
}

std::string flow_case::text() const {
  return to_string(flow.source) + " -> " + (flow.destination ? to_string(*flow.destination) : "-")
         + " '" + name + "' " + model::to_string(static_cast<model::protocol_set>(flow.protocol))
         + "/" + std::to_string(flow.port);
}

} // namespace marchproxy::testing

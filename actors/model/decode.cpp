// SPDX-License-Identifier: AGPL-3.0-only
// Reads what encode.cpp writes. simdjson's On-Demand parser finds the fields; it leaves out checks
// of what nobody asks for, so at the end the ruleset is encoded again and must give the same bytes:
// nothing but the canonical form of a valid ruleset is accepted.
#include "actors/model/decode_parts.hpp"
#include "actors/model/text_rules.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace marchproxy::model {

namespace {

using namespace decoding;

constexpr std::size_t most_bytes = 256UL * 1024 * 1024;

port_set ports(sj::value value) {
  const auto given = must(value.get_string());
  auto out = parse_ports(std::string_view{given}, "ports");
  if (!out)
    refuse(out.error().message);
  return std::move(*out);
}

protocol_set protocols(sj::value value) {
  std::string_view rest = must(value.get_string());
  protocol_set out = 0;
  for (const auto which : all_protocols)
    if (const auto name = to_string(which); rest.substr(0, name.size()) == name) {
      out = static_cast<protocol_set>(out | static_cast<protocol_set>(which));
      rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    }
  return out; // what is left over, the comparison at the end finds
}

health_check read_health(sj::value value) {
  health_check out;
  each_field(value, [&](std::string_view key, sj::value v) {
    constexpr auto most = std::numeric_limits<std::uint32_t>::max();
    if (key == "enabled")
      out.enabled = flag(v);
    else if (key == "path")
      out.path = text(v, 255);
    else if (key == "interval")
      out.interval = std::chrono::seconds{static_cast<std::int64_t>(number(v, 86'400))};
    else if (key == "healthy_threshold")
      out.healthy_threshold = static_cast<std::uint32_t>(number(v, most));
    else if (key == "unhealthy_threshold")
      out.unhealthy_threshold = static_cast<std::uint32_t>(number(v, most));
    else
      return false;
    return true;
  });
  require(is_http_path(out.path), "a health check's path is not valid");
  return out;
}

service_address read_address(sj::value value) {
  const auto given = must(value.get_string());
  auto out = parse_address(given, "address");
  if (!out)
    refuse(out.error().message);
  return std::move(*out);
}

service read_service(sj::value value, cluster_id cluster) {
  service out;
  out.cluster = cluster;
  each_field(value, [&](std::string_view key, sj::value v) {
    if (key == "id")
      out.id = service_id{number(v)};
    else if (key == "name")
      out.name = text(v, 100);
    else if (key == "address")
      out.address = read_address(v);
    else if (key == "description")
      out.description = prose(v);
    else if (key == "ports")
      out.ports = ports(v);
    else if (key == "protocols")
      out.protocols = protocols(v);
    else if (key == "collection")
      out.collection = text(v, 100);
    else if (key == "auth_type")
      out.auth = word(v, {auth_type::base64, auth_type::jwt});
    else if (key == "tls_enabled")
      out.tls_enabled = flag(v);
    else if (key == "tls_verify")
      out.tls_verify = flag(v);
    else if (key == "health_check")
      out.health = read_health(v);
    else if (key == "listen_port")
      out.listen_port = static_cast<std::uint16_t>(number(v, 65'535));
    else if (key == "active")
      out.active = flag(v);
    else if (key == "limits")
      out.limits = decode_limits(v);
    else if (key == "proxy_protocol")
      out.proxy_protocol = word(v, {proxy_header::v1, proxy_header::v2});
    else
      return false;
    return true;
  });
  require(static_cast<bool>(out.id), "a service without an id");
  require(is_service_name(out.name), "a service's name is not valid");
  require(out.collection.empty() || is_service_name(out.collection),
          "a collection's name is not valid");
  return out;
}

std::vector<selector> read_selectors(sj::value value) {
  constexpr std::string_view head = "collection:";
  std::vector<selector> out;
  each_element(value, [&](sj::value v) {
    if (must(v.type()) == sj::json_type::number) {
      out.emplace_back(service_id{number(v)});
      return;
    }
    const auto given = must(v.get_string());
    if (given == "all") {
      out.emplace_back(select_all{});
    } else {
      require(given.substr(0, head.size()) == head && is_service_name(given.substr(head.size())),
              "an unknown selector");
      out.emplace_back(select_collection{std::string{given.substr(head.size())}});
    }
  });
  require(!out.empty(), "a mapping with an empty side");
  require(std::adjacent_find(out.begin(), out.end(), std::greater_equal<>{}) == out.end(),
          "a mapping's selectors do not ascend");
  return out;
}

mapping read_mapping(sj::value value, cluster_id cluster) {
  mapping out;
  out.cluster = cluster;
  each_field(value, [&](std::string_view key, sj::value v) {
    if (key == "id")
      out.id = mapping_id{number(v)};
    else if (key == "name")
      out.name = prose(v);
    else if (key == "sources")
      out.sources = read_selectors(v);
    else if (key == "destinations")
      out.destinations = read_selectors(v);
    else if (key == "protocols")
      out.protocols = protocols(v);
    else if (key == "ports")
      out.ports = ports(v);
    else if (key == "auth_required")
      out.auth_required = flag(v);
    else if (key == "priority")
      out.priority = static_cast<std::uint32_t>(number(v, 65'535));
    else if (key == "comment")
      out.comment = prose(v);
    else if (key == "active")
      out.active = flag(v);
    else if (key == "action")
      out.action = word(v, {mapping_action::deny, mapping_action::bypass});
    else if (key == "allow_private")
      out.allow_private = flag(v);
    else if (key == "limits")
      out.limits = decode_limits(v);
    else if (key == "observe")
      out.observe = flag(v);
    else if (key == "when_revoked")
      out.when_revoked = word(v, {revocation::drain, revocation::finish});
    else if (key == "drain_seconds")
      out.drain_seconds = static_cast<std::uint32_t>(number(v, longest_drain_seconds));
    else
      return false;
    return true;
  });
  require(out.drain_seconds != 0, "drain_seconds is 0");
  require(static_cast<bool>(out.id), "a mapping without an id");
  require(!out.sources.empty() && !out.destinations.empty(), "a mapping with a side missing");
  require(!out.limits || out.action != mapping_action::deny, "a mapping that denies has limits");
  return out;
}

credential read_credential(sj::value value) {
  credential out;
  each_field(value, [&](std::string_view key, sj::value v) {
    if (key == "service")
      out.service = service_id{number(v)};
    else if (key == "id")
      out.id = text(v, 64);
    else if (key == "kind")
      out.kind = word(v, {auth_type::base64, auth_type::jwt});
    else if (key == "algorithm")
      out.algorithm = text(v, 16);
    else if (key == "verifier")
      out.verifier = text(v, 8 * 1024);
    else if (key == "expires_at")
      out.expires_at = must(v.get_int64());
    else
      return false;
    return true;
  });
  require(is_credential_id(out.id), "a credential's id is not valid");
  return out;
}

ruleset read_ruleset(sj::document& document) {
  ruleset out;
  bool format = false;
  each_field(must(document.get_value()), [&](std::string_view key, sj::value v) {
    if (key == "format")
      format = number(v) == 1;
    else if (key == "cluster")
      out.cluster = cluster_id{number(v)};
    else if (key == "cluster_name")
      out.cluster_name = text(v, 63);
    else if (key == "revision")
      out.revision = revision{number(v)};
    else if (key == "observe")
      out.observe = flag(v);
    else if (key == "services")
      each_element(v, [&](sj::value e) { out.services.push_back(read_service(e, out.cluster)); });
    else if (key == "mappings")
      each_element(v, [&](sj::value e) { out.mappings.push_back(read_mapping(e, out.cluster)); });
    else if (key == "credentials")
      each_element(v, [&](sj::value e) { out.credentials.push_back(read_credential(e)); });
    else if (key == "ingress_routes")
      each_element(v, [&](sj::value e) {
        out.ingress_routes.push_back(decode_ingress_route(e, out.cluster));
      });
    else
      return false;
    return true;
  });
  require(format, "not of format 1");
  require(is_cluster_name(out.cluster_name), "the cluster's name is not valid");
  require(out.cluster && out.revision, "no cluster or no revision");
  return out;
}

bool has_service(const ruleset& rules, service_id id) {
  const auto at =
    std::lower_bound(rules.services.begin(), rules.services.end(), id,
                     [](const service& s, service_id wanted) { return s.id < wanted; });
  return at != rules.services.end() && at->id == id;
}

/// What lies between the parts. A deny that names a service which is not there would deny nothing.
void check_references(const ruleset& rules) {
  const auto ascends = [](const auto& values, auto key) {
    return std::adjacent_find(values.begin(), values.end(),
                              [&](const auto& a, const auto& b) { return key(a) >= key(b); })
           == values.end();
  };
  require(ascends(rules.services, [](const service& s) { return s.id; }), "services do not ascend");
  require(ascends(rules.mappings, [](const mapping& m) { return m.id; }), "mappings do not ascend");
  require(ascends(rules.credentials,
                  [](const credential& c) {
                    return std::pair{c.service, c.id};
                  }),
          "credentials do not ascend");
  require(ascends(rules.ingress_routes, [](const ingress_route& r) { return r.id; }),
          "ingress routes do not ascend");
  const auto known = [&](const selector& which) {
    const auto* id = std::get_if<service_id>(&which);
    return id == nullptr || has_service(rules, *id);
  };
  for (const auto& one : rules.mappings)
    require(std::all_of(one.sources.begin(), one.sources.end(), known)
              && std::all_of(one.destinations.begin(), one.destinations.end(), known),
            "a mapping names a service that is not there");
  for (const auto& one : rules.ingress_routes)
    require(std::all_of(one.backends.begin(), one.backends.end(),
                        [&](const ingress_backend& b) { return has_service(rules, b.service); }),
            "an ingress route names a service that is not there");
  for (const auto& one : rules.credentials)
    require(has_service(rules, one.service), "a credential of a service that is not there");
}

} // namespace

result<ruleset> decode_ruleset(std::string_view bytes) {
  if (bytes.size() > most_bytes)
    return fail(errc::corrupt, "ruleset: more than 256 MiB");
  try {
    const simdjson::padded_string padded{bytes};
    sj::parser parser;
    auto document = must(parser.iterate(padded));
    auto out = read_ruleset(document);
    check_references(out);
    if (encode(out) != bytes)
      return fail(errc::corrupt, "ruleset: not in canonical form");
    return out;
  } catch (const malformed& e) {
    return fail(errc::corrupt, "ruleset: " + e.why);
  } catch (const std::exception& e) {
    return fail(errc::corrupt, std::string{"ruleset: "} + e.what());
  }
}

} // namespace marchproxy::model

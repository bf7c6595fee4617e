// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/decode_parts.hpp"
#include "actors/model/http_rules.hpp"

#include <algorithm>

namespace marchproxy::model::decoding {

namespace {

std::vector<ingress_backend> read_backends(sj::value value) {
  std::vector<ingress_backend> out;
  each_element(value, [&](sj::value element) {
    auto& one = out.emplace_back();
    each_field(element, [&](std::string_view key, sj::value v) {
      if (key == "service")
        one.service = service_id{number(v)};
      else if (key == "port")
        one.port = static_cast<std::uint16_t>(number(v, 65'535));
      else if (key == "weight")
        one.weight = static_cast<std::uint32_t>(number(v, 1000));
      else if (key == "draining")
        one.draining = flag(v);
      else
        return false;
      return true;
    });
    require(one.weight != 0, "a backend without weight");
  });
  return out;
}

std::vector<header_change> read_header_changes(sj::value value) {
  std::vector<header_change> out;
  each_element(value, [&](sj::value element) {
    auto& one = out.emplace_back();
    each_field(element, [&](std::string_view key, sj::value v) {
      if (key == "name")
        one.name = text(v, 255);
      else if (key == "value")
        one.value = text(v, 1024);
      else
        return false;
      return true;
    });
    require(is_changeable_header(one.name) && is_header_value(one.value.value_or("")),
            "a change of a header is not valid");
  });
  return out;
}

std::vector<header_condition> read_header_conditions(sj::value value) {
  std::vector<header_condition> out;
  each_element(value, [&](sj::value element) {
    auto& one = out.emplace_back();
    each_field(element, [&](std::string_view key, sj::value v) {
      if (key == "name") {
        one.name = text(v, 255);
      } else if (key == "value" || key == "prefix") {
        one.test = key == "value" ? header_test::value : header_test::prefix;
        one.text = text(v, 255);
      } else if (key == "absent") {
        one.test = header_test::absent;
        require(flag(v), "a condition of no meaning");
      } else {
        return false;
      }
      return true;
    });
    require(is_condition_header(one.name) && is_header_value(one.text),
            "a condition on a header is not valid");
  });
  require(out.size() <= most_header_conditions, "too many conditions on headers");
  require(std::is_sorted(out.begin(), out.end())
            && std::adjacent_find(out.begin(), out.end()) == out.end(),
          "conditions on headers are not in order");
  return out;
}

void read_names(sj::value value, std::vector<std::string>& out, std::size_t most) {
  each_element(value, [&](sj::value element) { out.push_back(text(element, most)); });
  require(!out.empty(), "an empty list of names");
}

client_certificates read_client_certificates(sj::value value) {
  client_certificates out;
  each_field(value, [&](std::string_view key, sj::value v) {
    if (key == "common_names")
      read_names(v, out.common_names, 64);
    else if (key == "dns_names")
      read_names(v, out.dns_names, 255);
    else if (key == "uris")
      read_names(v, out.uris, 255);
    else
      return false;
    return true;
  });
  return out;
}

route_tls read_tls(sj::value value) {
  route_tls out;
  each_field(value, [&](std::string_view key, sj::value v) {
    if (key != "client_certificates")
      return false;
    out.client_certificates = read_client_certificates(v);
    return true;
  });
  return out;
}

redirect read_redirect(sj::value value) {
  redirect out;
  each_field(value, [&](std::string_view key, sj::value v) {
    if (key == "status")
      out.status = static_cast<std::uint16_t>(number(v, 399));
    else if (key == "location")
      out.location = text(v, 1024);
    else
      return false;
    return true;
  });
  require(is_redirect_status(out.status) && is_location(out.location), "a redirect is not valid");
  return out;
}

} // namespace

ingress_route decode_ingress_route(sj::value value, cluster_id cluster) {
  ingress_route out;
  out.cluster = cluster;
  each_field(value, [&](std::string_view key, sj::value v) {
    if (key == "id")
      out.id = ingress_route_id{number(v)};
    else if (key == "name")
      out.name = text(v, 100);
    else if (key == "description")
      out.description = prose(v);
    else if (key == "protocol")
      out.protocol = word(v, {route_protocol::tcp});
    else if (key == "listen_port")
      out.listen_port = static_cast<std::uint16_t>(number(v, 65'535));
    else if (key == "host")
      out.host = text(v, 255);
    else if (key == "path")
      out.path = text(v, 255);
    else if (key == "path_match")
      out.match = word(v, {path_match::exact});
    else if (key == "headers")
      out.headers = read_header_conditions(v);
    else if (key == "backends")
      out.backends = read_backends(v);
    else if (key == "balancing")
      out.balancing = word(v, {balancing::least_connections, balancing::source_hash});
    else if (key == "strip_prefix")
      out.strip_prefix = flag(v);
    else if (key == "add_prefix")
      out.add_prefix = text(v, 255);
    else if (key == "request_headers")
      out.request_headers = read_header_changes(v);
    else if (key == "response_headers")
      out.response_headers = read_header_changes(v);
    else if (key == "redirect")
      out.redirect = read_redirect(v);
    else if (key == "tls")
      out.tls = read_tls(v);
    else if (key == "retries")
      out.retries = static_cast<std::uint32_t>(number(v, 10));
    else if (key == "retry_budget")
      out.retry_budget = static_cast<std::uint32_t>(number(v, 100));
    else if (key == "slow_start")
      out.slow_start = std::chrono::seconds{static_cast<std::int64_t>(number(v, 3600))};
    else if (key == "max_requests")
      out.max_requests = static_cast<std::uint32_t>(number(v, 1'000'000));
    else if (key == "active")
      out.active = flag(v);
    else
      return false;
    return true;
  });
  require(static_cast<bool>(out.id), "an ingress route without an id");
  require(is_service_name(out.name), "an ingress route's name is not valid");
  require(out.listen_port != 0, "an ingress route without a port");
  require(out.host.empty() || parse_address(out.host, "host").has_value(),
          "an ingress route's host is not valid");
  require(is_route_path(out.path), "an ingress route's path is not valid");
  require(out.add_prefix.empty() || is_route_path(out.add_prefix),
          "an ingress route's prefix is not valid");
  require(out.backends.empty() == out.redirect.has_value(),
          "an ingress route leads nowhere, or to two things");
  return out;
}

} // namespace marchproxy::model::decoding

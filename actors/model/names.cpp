// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/model.hpp"

namespace marchproxy::model {

std::string_view to_string(mapping_action action) noexcept {
  switch (action) {
  case mapping_action::deny:
    return "deny";
  case mapping_action::allow:
    return "allow";
  case mapping_action::bypass:
    return "bypass";
  }
  return "deny";
}

std::string_view to_string(revocation what) noexcept {
  switch (what) {
  case revocation::cut:
    return "cut";
  case revocation::drain:
    return "drain";
  case revocation::finish:
    return "finish";
  }
  return "cut";
}

std::string_view to_string(auth_type type) noexcept {
  switch (type) {
  case auth_type::none:
    return "none";
  case auth_type::base64:
    return "base64";
  case auth_type::jwt:
    return "jwt";
  }
  return "none";
}

std::string_view to_string(proxy_header which) noexcept {
  switch (which) {
  case proxy_header::off:
    return "off";
  case proxy_header::v1:
    return "v1";
  case proxy_header::v2:
    return "v2";
  }
  return "off";
}

std::string_view to_string(route_protocol which) noexcept {
  return which == route_protocol::http ? "http" : "tcp";
}

std::string_view to_string(path_match which) noexcept {
  return which == path_match::prefix ? "prefix" : "exact";
}

std::string_view to_string(balancing which) noexcept {
  switch (which) {
  case balancing::round_robin:
    return "round_robin";
  case balancing::least_connections:
    return "least_connections";
  case balancing::source_hash:
    return "source_hash";
  }
  return "round_robin";
}

std::string_view to_string(header_test which) noexcept {
  switch (which) {
  case header_test::present:
    return "present";
  case header_test::absent:
    return "absent";
  case header_test::value:
    return "value";
  case header_test::prefix:
    return "prefix";
  }
  return "present";
}

std::string_view to_string(protocol which) noexcept {
  switch (which) {
  case protocol::tcp:
    return "tcp";
  case protocol::udp:
    return "udp";
  case protocol::icmp:
    return "icmp";
  }
  return "tcp";
}

std::string to_string(protocol_set protocols) {
  if (protocols == any_protocol)
    return "any";
  std::string out;
  for (const auto which : all_protocols)
    if (has(protocols, which))
      out.append(out.empty() ? "" : ",").append(to_string(which));
  return out;
}

} // namespace marchproxy::model

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/decision.hpp"

namespace marchproxy::relay {

std::string_view to_string(entry e) noexcept {
  switch (e) {
  case entry::connect:
    return "connect";
  case entry::forward:
    return "forward";
  case entry::socks5:
    return "socks5";
  case entry::socks5_udp:
    return "socks5-udp";
  case entry::listener:
    return "listener";
  case entry::transparent:
    return "transparent";
  case entry::ingress:
    return "ingress";
  }
  return "connect";
}

std::string_view to_string(reason r) noexcept {
  switch (r) {
  case reason::mapping_allow:
    return "mapping_allow";
  case reason::mapping_bypass:
    return "mapping_bypass";
  case reason::implicit_deny:
    return "implicit_deny";
  case reason::mapping_deny:
    return "mapping_deny";
  case reason::private_destination:
    return "private_destination";
  case reason::auth_required:
    return "auth_required";
  case reason::auth_failed:
    return "auth_failed";
  case reason::no_policy:
    return "no_policy";
  case reason::bad_request:
    return "bad_request";
  case reason::resolve_failed:
    return "resolve_failed";
  case reason::connect_failed:
    return "connect_failed";
  case reason::connect_timeout:
    return "connect_timeout";
  case reason::upstream_failed:
    return "upstream_failed";
  case reason::revision_changed:
    return "revision_changed";
  case reason::shutting_down:
    return "shutting_down";
  case reason::sni_mismatch:
    return "sni_mismatch";
  case reason::bad_hello:
    return "bad_hello";
  case reason::ech_refused:
    return "ech_refused";
  case reason::no_route:
    return "no_route";
  case reason::no_backend:
    return "no_backend";
  case reason::redirected:
    return "redirected";
  case reason::rate_limited:
    return "rate_limited";
  case reason::client_cert_required:
    return "client_cert_required";
  case reason::client_cert_refused:
    return "client_cert_refused";
  case reason::upstream_tls_failed:
    return "upstream_tls_failed";
  case reason::overloaded:
    return "overloaded";
  }
  return "implicit_deny";
}

std::string request_text(std::uint64_t request) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out(16, '0');
  for (auto at = out.rbegin(); at != out.rend(); ++at, request >>= 4)
    *at = digits[request & 15];
  return out;
}

} // namespace marchproxy::relay

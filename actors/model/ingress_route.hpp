// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/strong_id.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::model {

using ingress_route_id = strong_id<struct ingress_route_tag>;

enum class route_protocol : std::uint8_t {
  http, ///< requests, by host and path
  tcp,  ///< connections as they come; the port is the route's alone
};
enum class path_match : std::uint8_t {
  prefix, ///< whole segments: /a has /a and /a/b, not /ab
  exact,
};
/// How one of several backends is chosen; weights count in each.
enum class balancing : std::uint8_t {
  round_robin,
  least_connections,
  source_hash, ///< the same client to the same backend, and few move when one comes or goes
};

struct ingress_backend {
  service_id service;       ///< at one address or name
  std::uint16_t port = 0;   ///< 0: the service's only one
  std::uint32_t weight = 1; ///< 1..1000
  bool draining = false;    ///< gets nothing new

  bool operator==(const ingress_backend&) const = default;
};

/// What a field of a request must be. A name that stands in several fields is met by any of them.
enum class header_test : std::uint8_t {
  present,
  absent,
  value,  ///< all of it; case counts
  prefix, ///< its beginning
};

struct header_condition {
  std::string name; ///< lower case
  header_test test = header_test::present;
  std::string text; ///< of value and prefix

  auto operator<=>(const header_condition&) const = default;
};

/// Before a request or an answer goes on.
struct header_change {
  std::string name;                 ///< lower case
  std::optional<std::string> value; ///< set to this; none: removed

  bool operator==(const header_change&) const = default;
};

struct redirect {
  std::uint16_t status = 308; ///< 301, 302, 303, 307, 308
  std::string location; ///< absolute, or a path; `{path}` stands for the request's path and query

  bool operator==(const redirect&) const = default;
};

/// Whom a client must be by the certificate that it shows (IDN-5). It must be one that the proxy's
/// client CAs vouch for; if any name is listed, one of its names must be too.
struct client_certificates {
  std::vector<std::string> common_names; ///< of the subject
  std::vector<std::string> dns_names;    ///< subject alternative names, lower case
  std::vector<std::string> uris;         ///< subject alternative names

  [[nodiscard]] bool any_name() const noexcept {
    return common_names.empty() && dns_names.empty() && uris.empty();
  }
  bool operator==(const client_certificates&) const = default;
};

/// The proxy is the TLS server of the route's clients. All active routes of a port agree on it.
struct route_tls {
  std::optional<model::client_certificates> client_certificates; ///< required, if there

  bool operator==(const route_tls&) const = default;
};

/// What comes in to an ingress proxy, and where it goes (POL-5). Of several that match, the one
/// with the most specific host counts (exact, then the longest wildcard, then any), then the most
/// specific path (exact, then the longest prefix), then the one with the most conditions on
/// headers, then the lowest id. Who may use it is for mappings to say.
struct ingress_route {
  ingress_route_id id;
  cluster_id cluster;
  std::string name; ///< as a service's, unique in the cluster
  std::string description;
  route_protocol protocol = route_protocol::http;
  std::uint16_t listen_port = 80;
  std::string host;       ///< a name, `*.example.org`, an address; empty: any
  std::string path = "/"; ///< no final `/` but the root's
  path_match match = path_match::prefix;
  std::vector<header_condition> headers; ///< all must hold; sorted, each once
  std::vector<ingress_backend> backends; ///< at least one, unless it redirects
  model::balancing balancing = model::balancing::round_robin;
  bool strip_prefix = false; ///< the path goes on without `path`
  std::string add_prefix;    ///< before the path that goes on; empty, or a path without final `/`
  std::vector<header_change> request_headers;  ///< at most one for a name
  std::vector<header_change> response_headers; ///< of backends' final answers; as request_headers
  std::optional<model::redirect> redirect;     ///< instead of backends
  std::optional<model::route_tls> tls;         ///< none: clients speak plain HTTP or TCP
  std::uint32_t retries = 1;          ///< other backends that are tried when one cannot be reached
  std::uint32_t retry_budget = 20;    ///< percent of what is under way that may be retries; 0..100
  std::chrono::seconds slow_start{0}; ///< until a backend that comes, or comes back, has its share
  std::uint32_t max_requests = 0;     ///< under way at one backend, up to a million; 0: no bound
  bool active = true;

  bool operator==(const ingress_route&) const = default;
};

[[nodiscard]] std::string_view to_string(route_protocol which) noexcept;
[[nodiscard]] std::string_view to_string(path_match which) noexcept;
[[nodiscard]] std::string_view to_string(balancing which) noexcept;
[[nodiscard]] std::string_view to_string(header_test which) noexcept;

} // namespace marchproxy::model

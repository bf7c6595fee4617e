// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/ip.hpp"
#include "actors/base/strong_id.hpp"
#include "actors/base/time.hpp"
#include "actors/model/model.hpp"
#include "nodes/net/socket.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::relay {

/// How a flow came in.
enum class entry : std::uint8_t {
  connect,
  forward,
  socks5,
  socks5_udp,
  listener,
  transparent,
  ingress
};
constexpr std::size_t entry_count = 7;

/// Why a flow got its answer, or why it ended. The names reach clients, records and metrics
/// (to_string).
enum class reason : std::uint8_t {
  mapping_allow,
  mapping_bypass,
  implicit_deny,       ///< no mapping matches
  mapping_deny,        ///< a mapping says deny
  private_destination, ///< only the range that the name led to stands in the way (POL-6)
  auth_required,       ///< the mapping wants credentials and none were shown
  auth_failed,         ///< those shown do not hold
  no_policy,           ///< no revision is in force yet
  bad_request,         ///< not judged: malformed, or a method or scheme that we do not serve
  resolve_failed,      ///< allowed, but the name has no address, or no name server answered
  connect_failed,      ///< allowed, but no address took the connection
  connect_timeout,
  upstream_failed,  ///< the upstream broke HTTP, or broke off
  revision_changed, ///< cut: a new revision refuses the flow (POL-12)
  shutting_down,
  sni_mismatch, ///< the TLS hello names a host other than the one asked for, which no mapping
                ///< allows
  bad_hello,    ///< a TLS hello that is malformed or did not come to its end, where its name counts
  ech_refused,  ///< the name that counts may be encrypted (ECH)
  no_route,     ///< not judged: no ingress route has this host and path
  no_backend,   ///< not judged: the ingress route has none in service
  redirected,   ///< not judged: the ingress route answers with a redirect
  rate_limited, ///< a mapping allows it, but its limits or the destination service's do not (POL-7)
  client_cert_required, ///< not judged: the ingress route wants a client certificate, none was
                        ///< shown
  client_cert_refused,  ///< not judged: the one shown is not trusted, or not one that the route
                        ///< lists
  upstream_tls_failed,  ///< allowed, but the backend spoke no TLS, or is not whom it should be
  overloaded,           ///< not judged: no backend of the ingress route has room for one more
};
constexpr std::size_t reason_count = static_cast<std::size_t>(reason::overloaded) + 1;

[[nodiscard]] std::string_view to_string(entry e) noexcept;
[[nodiscard]] std::string_view to_string(reason r) noexcept;

/// 16 hex digits.
[[nodiscard]] std::string request_text(std::uint64_t request);

/// The tier that this room is.
constexpr std::string_view tier_name = "sockets";

/// What is told of each flow when it ends, refused ones included. Mapping and revision are those of
/// one program.
struct decision_record {
  std::uint64_t request = 0; ///< request_text() is what the client was told
  entry via = entry::connect;
  net::endpoint source;
  model::protocol protocol = model::protocol::tcp;
  service_id identity;    ///< whose credentials held; none: none were needed
  std::string credential; ///< which of them
  std::string asked;      ///< `host:port` as asked for
  std::string name; ///< that was judged: as asked for, or else of a TLS hello; empty: by address
  std::string sni;  ///< of the client's TLS hello, where it was looked at or answered
  std::optional<ip_address> address;    ///< the address that was judged and connected to
  std::optional<time_point> lease_ends; ///< of the TTL by which the name had this address; earlier
                                        ///< than `started`: no name server answered. None: by
                                        ///< address, by the hosts file, or on a connection kept
  std::uint16_t port = 0;
  mapping_id mapping;
  marchproxy::revision revision;
  bool allowed = false; ///< let through by the policy's verdict; an allowed flow may still fail
  reason why = reason::implicit_deny;
  /// What the policy would have refused it for, but for observation (POL-8); none: nothing.
  std::optional<reason> observed;
  /// What its mapping grants it when a revision refuses it (POL-12).
  model::revocation when_revoked = model::revocation::cut;
  std::uint32_t drain_seconds = 0;
  std::string limit;          ///< that refused it, as in `service.3.requests`; empty: none did
  std::uint64_t bytes_up = 0; ///< client to upstream
  std::uint64_t bytes_down = 0;
  time_point started{};
  time_point ended{};
};

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/resolver.hpp"
#include "nodes/net/socket.hpp"
#include "nodes/tls/acceptor.hpp"
#include "nodes/tls/connector.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace marchproxy::relay {

/// What becomes of a TLS client whose server name may be encrypted (ECH), where the verdict depends
/// on that name.
enum class ech_policy : std::uint8_t {
  deny,
  outer, ///< the name in the clear counts as if it were the one meant
  strip, ///< it counts where the client was told that address for it by our resolver, which takes
         ///< the keys for encryption out of what it tells: then there is nothing behind it
};

/// Which fields tell an origin who its client is. Those that the client sent itself are dropped
/// then, both kinds: nothing vouches for them. With `off` neither is touched.
enum class client_fields : std::uint8_t { off, x_forwarded_for, forwarded, both };

/// How workers wait for connections. automatic: io_uring where the kernel lets us, else epoll.
enum class io_choice : std::uint8_t { automatic, epoll, io_uring };

struct relay_settings {
  bool ingress = false; ///< its listeners are those of ingress routes; no proxy, no services' ones
  net::endpoint proxy_listen{{}, 8080}; ///< the explicit proxy; port 0: any free one
  ip_address service_listen;            ///< where listeners of services or ingress routes open
  std::vector<net::endpoint>
    transparent_listen; ///< for redirected connections; none: no such entry
  bool tproxy = false;  ///< they get connections by TPROXY too, and datagrams, which takes
                        ///< CAP_NET_ADMIN
  std::vector<ip_prefix> proxy_protocol_from; ///< load balancers: what they connect begins with a
                                              ///< PROXY header, which says who the client is
  std::shared_ptr<const tls::acceptor>
    acceptor; ///< of ingress routes with tls; null: none is served
  std::shared_ptr<const tls::connector> connector; ///< to backends with TLS; null: there are none
  ech_policy ech = ech_policy::deny;
  std::shared_ptr<net::lease_store> told; ///< names and addresses, by our resolver; for strip
  bool udp_offload = true;                ///< UDP_SEGMENT and UDP_GRO, where the kernel has them
  std::uint16_t udp_port = 0; ///< leads to first_udp_destination(), at service_listen; 0: none
  std::uint16_t dns_port = 0; ///< the process's resolver has it, so no service gets it; 0: none has
  unsigned workers = 1;
  io_choice io = io_choice::epoll;
  std::size_t max_connections = 20'000;  ///< accepted ones, for each worker
  std::size_t max_udp_sessions = 20'000; ///< of datagrams, for each worker and UDP listener
  std::size_t max_udp_sessions_of_source = 2'000; ///< of these, of one address or /64 of IPv6
  std::size_t max_idle_upstreams = 64;            ///< kept for clients to come, by each worker
  std::size_t record_ring = 8'192;                ///< decision records for each worker
  std::string via = "marchproxy";                 ///< our pseudonym in Via
  client_fields forwarded = client_fields::off;
  std::chrono::milliseconds head_timeout{10'000};       ///< from a head's first byte to its last
  std::chrono::milliseconds body_timeout{30'000};       ///< without a byte of a request's body
  std::chrono::milliseconds connect_timeout{10'000};    ///< for all addresses of a name together
  std::chrono::milliseconds idle_timeout{300'000};      ///< without a byte either way
  std::chrono::milliseconds udp_idle_timeout{60'000};   ///< without a datagram of a session
  std::chrono::milliseconds keep_alive_timeout{60'000}; ///< between requests
  std::chrono::milliseconds rest_after{20}; ///< of that, an HTTP client keeps its session
  std::chrono::milliseconds upstream_idle_timeout{10'000}; ///< of those kept for clients to come
  std::chrono::milliseconds linger_timeout{2'000};         ///< for a refused client to read why
  net::resolver_options resolver;
};

} // namespace marchproxy::relay

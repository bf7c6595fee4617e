// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/model.hpp"
#include "nodes/net/listener.hpp"
#include "nodes/relay/socket_source.hpp"
#include "nodes/routing/route_table.hpp"
#include "nodes/wire/host.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::relay {

/// Where a listener port leads to: the one address or name of the service that asks for it.
struct service_target {
  service_id service;
  wire::host_port to;
  model::proxy_header introduces = model::proxy_header::off; ///< its clients to the service

  [[nodiscard]] bool same(const service_target& other) const {
    return service == other.service && to.text() == other.to.text()
           && introduces == other.introduces;
  }
};

using problem_sink = std::function<void(const std::string&)>;

/// A port of the relay's own, and what it is.
struct own_port {
  std::uint16_t number = 0;
  std::string_view of; ///< "the proxy"
};

/// Ports that the active services of @p rules want TCP listeners on. Services that cannot have one
/// (a range of addresses, a wildcard, a port that another service or the relay has) are told to @p
/// problem and left out.
[[nodiscard]] std::map<std::uint16_t, service_target> wanted_listeners(
  const model::ruleset& rules, const std::vector<own_port>& taken, const problem_sink& problem);
/// As wanted_listeners(), for UDP: of services that speak it, while any mapping allows any UDP. A
/// service that wants a PROXY header has none: datagrams have no beginning where it could stand.
[[nodiscard]] std::map<std::uint16_t, service_target> wanted_udp_listeners(
  const model::ruleset& rules, const std::vector<own_port>& taken, const problem_sink& problem);
/// Where datagrams to the UDP port of the earlier proxies lead: to the first destination, that is
/// one host, of the first mapping that allows and names UDP; none when there is none. Its port is
/// the mapping's first, else the service's, else 53.
[[nodiscard]] std::optional<service_target> first_udp_destination(const model::ruleset& rules);

/// The ports of an ingress proxy's routes; each leads to itself, where the route is found for each
/// request. @param routes  may be null
[[nodiscard]] std::map<std::uint16_t, service_target>
ingress_listeners(const routing::route_table* routes);

/// The open listeners of one worker, which follow the revision in force.
class service_listeners {
public:
  using take = std::function<void(net::accepted, const service_target& to)>;

  service_listeners(net::event_loop& loop, socket_source& sockets, const ip_address& at, take t)
    : loop_(loop), sockets_(sockets), at_(at), take_(std::move(t)) {}

  /// Opens what is missing, closes what is not wanted any more and leaves the rest alone.
  void follow(const std::map<std::uint16_t, service_target>& wanted, const problem_sink& problem);
  void close() { open_.clear(); }
  /// Calls @p visit with each socket.
  template <class Visit>
  void for_each_socket(Visit visit) const {
    for (const auto& [port, each] : open_)
      visit(each->socket->fd());
  }

private:
  struct entry {
    service_target target;
    std::unique_ptr<net::listener> socket;
  };
  net::event_loop& loop_;
  socket_source& sockets_;
  ip_address at_;
  take take_;
  std::map<std::uint16_t, std::unique_ptr<entry>> open_;
};

} // namespace marchproxy::relay

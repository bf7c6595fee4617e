// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/listener_session.hpp"

#include <cstdint>
#include <memory>
#include <variant>

namespace marchproxy::relay {

/// A port of an ingress proxy.
struct ingress_port {
  std::uint16_t number = 0;
};

/// What a connection is by the socket it was accepted on: the explicit proxy's; one that says no
/// word about where it goes; or an ingress port's.
using arrival = std::variant<std::monostate, listener_session::way, ingress_port>;

/// The session for a connection that arrived so, by the snapshot of now. At a port with TLS the
/// handshake comes first.
/// @param early  what the client sent already
[[nodiscard]] std::unique_ptr<session> make_session(
  context& c, std::unique_ptr<stream> client, const net::endpoint& peer, arrival how, buffer early);

/// The session for a client of an ingress port whose connection is ready, by the snapshot of now.
[[nodiscard]] std::unique_ptr<session> make_ingress_session(context& c,
                                                            std::unique_ptr<stream> client,
                                                            const net::endpoint& peer,
                                                            ingress_port at,
                                                            buffer early);

/// Who comes from a load balancer that speaks the PROXY protocol: reads the header and becomes what
/// the connection would be if the client had come by itself.
class header_session final : public session {
public:
  header_session(context& c,
                 std::unique_ptr<stream> client,
                 const net::endpoint& peer,
                 arrival how);
  void start() override;
  void on_drain() override {
    if (ctx().ends_idle_clients())
      close();
  }

private:
  void advance() override;
  void on_routed(route::outcome) override {}
  void on_deadline() override { refuse(); }
  void refuse();
  arrival how_;
};

} // namespace marchproxy::relay

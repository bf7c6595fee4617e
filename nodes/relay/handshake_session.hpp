// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/session.hpp"
#include "nodes/routing/route_table.hpp"

namespace marchproxy::relay {

/// A client of an ingress port with TLS until its handshake is done; then it is what it would be
/// without. One that fails is told why by an alert, and counted.
class handshake_session final : public session {
public:
  /// @param early  what the client sent already
  handshake_session(context& c,
                    std::unique_ptr<stream> client,
                    const net::endpoint& peer,
                    const routing::route_table::port& at,
                    buffer early);
  void start() override;
  void on_drain() override {
    if (ctx().ends_idle_clients())
      close();
  }

private:
  void advance() override;
  void on_routed(route::outcome) override {}
  void on_deadline() override;
  void fail();

  std::uint16_t port_;
};

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/backend_choice.hpp"
#include "nodes/relay/session.hpp"

#include <optional>

namespace marchproxy::relay {

/// A connection to a port of an ingress proxy that a TCP route has: it goes to one of the route's
/// backends as it comes.
class ingress_tcp_session final : public session {
public:
  /// @param early  what the client sent already
  ingress_tcp_session(context& c,
                      std::unique_ptr<stream> client,
                      const net::endpoint& peer,
                      std::uint16_t port,
                      buffer early);
  void start() override;

private:
  void advance() override {}
  void on_deadline() override {}
  void on_routed(route::outcome o) override;
  void try_next();

  std::uint16_t port_;
  backend_choice choice_;
  std::optional<route::outcome> last_; ///< of the tries so far; has no upstream
  net::task again_;                    ///< the next backend is tried in a turn of its own
};

} // namespace marchproxy::relay

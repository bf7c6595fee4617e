// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/listener_session.hpp"

#include <optional>

namespace marchproxy::relay {

/// Who comes from a load balancer that speaks the PROXY protocol: reads the header and becomes what
/// the connection would be if the client had come by itself.
class header_session final : public session {
public:
  /// @param onward  for a connection that says no word about where it goes
  header_session(context& c,
                 std::unique_ptr<stream> client,
                 const net::endpoint& peer,
                 std::optional<listener_session::way> onward);
  void start() override;
  void on_drain() override { close(); }

private:
  void advance() override;
  void on_routed(route::outcome) override {}
  void on_deadline() override { refuse(); }
  void refuse();
  std::optional<listener_session::way> onward_;
};

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/http_session.hpp"

namespace marchproxy::relay {

/// An HTTP client of the explicit proxy: CONNECT becomes a tunnel; requests in absolute form are
/// forwarded one after the other.
class forward_session : public http_session {
public:
  forward_session(context& c,
                  std::unique_ptr<stream> client,
                  const net::endpoint& peer,
                  buffer first)
    : http_session(c, std::move(client), peer, std::move(first), peer.address) {}

protected:
  void on_head(std::size_t size) override;
  /// request_, target_ and the flow are there: the request goes its way.
  void go_on();
  /// Asks for a connection to target_; on_routed() follows.
  virtual void find_way() { find_route(target_, shown_); }

  wire::host_port target_;

private:
  void on_routed(route::outcome o) override;
  [[nodiscard]] entry came_by() const noexcept override {
    return connect_ ? entry::connect : entry::forward;
  }
  [[nodiscard]] bool try_again(const exchange& over) override;
  void begin_connect();
  void begin_forward();

  bool connect_ = false;
};

} // namespace marchproxy::relay

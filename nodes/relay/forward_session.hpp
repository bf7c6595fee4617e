// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/http_session.hpp"

namespace marchproxy::relay {

/// An HTTP client of the explicit proxy: CONNECT becomes a tunnel; requests in absolute form are
/// forwarded one after the other.
class forward_session final : public http_session {
public:
  forward_session(context& c,
                  std::unique_ptr<stream> client,
                  const net::endpoint& peer,
                  buffer first)
    : http_session(c, std::move(client), peer, std::move(first), peer.address) {}

private:
  void on_head(std::size_t size) override;
  void on_routed(route::outcome o) override;
  [[nodiscard]] entry came_by() const noexcept override {
    return connect_ ? entry::connect : entry::forward;
  }
  [[nodiscard]] bool try_again(const exchange& over) override;
  void begin_connect();
  void begin_forward();

  bool connect_ = false;
  wire::host_port target_;
};

} // namespace marchproxy::relay

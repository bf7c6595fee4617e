// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/http_session.hpp"

namespace marchproxy::relay {

/// An HTTP client of the explicit proxy: CONNECT becomes a tunnel; requests in absolute form are
/// forwarded one after the other, over one upstream connection as long as they go to the same
/// target.
class forward_session final : public http_session {
public:
  using http_session::http_session;

private:
  void on_head(std::size_t size) override;
  void on_routed(route::outcome o) override;
  [[nodiscard]] entry came_by() const noexcept override {
    return connect_ ? entry::connect : entry::forward;
  }
  [[nodiscard]] bool try_again(const exchange& over) override;
  void begin_connect();
  void begin_forward();
  [[nodiscard]] bool reuse_upstream();

  bool connect_ = false;
  wire::host_port target_;
  std::string upstream_target_; ///< whom upstream_ was connected for
  std::optional<ip_address> upstream_address_;
  bool reused_ = false;
};

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/backend_choice.hpp"
#include "nodes/relay/http_session.hpp"

#include <optional>

namespace marchproxy::relay {

/// An HTTP client of an ingress proxy: each request goes to a backend of the route that its host
/// and path have (POL-5), over connections that the worker's clients share. A backend that cannot
/// be reached is made up for by another, as often as the route says.
class ingress_session final : public http_session {
public:
  /// @param held  the backend that its source held the client to before; may be null
  ingress_session(context& c,
                  std::unique_ptr<stream> client,
                  const net::endpoint& peer,
                  std::uint16_t port,
                  buffer first,
                  std::shared_ptr<const routing::endpoint> held = nullptr);
  void start() override;

private:
  void on_head(std::size_t size) override;
  void on_routed(route::outcome o) override;
  [[nodiscard]] entry came_by() const noexcept override { return entry::ingress; }
  [[nodiscard]] bool try_again(const exchange& over) override;
  void on_answered() override;
  [[nodiscard]] std::optional<std::uint16_t> ingress_port() const noexcept override {
    return port_;
  }
  [[nodiscard]] routing::endpoint::use take_backend() override { return choice_.take(); }
  [[nodiscard]] std::shared_ptr<const routing::endpoint> held_to() const override {
    return choice_.held();
  }

  void redirect(const routing::compiled_route& to);
  void try_next();
  [[nodiscard]] bool may_reuse();
  void give_up();

  std::uint16_t port_;
  std::string path_and_query_;
  backend_choice choice_;
  wire::host_port target_; ///< the backend at hand
  /// How the connection at hand began, and to whom, where it began with a PROXY header.
  model::proxy_header introduced_as_ = model::proxy_header::off;
  std::string introduced_to_;
  std::optional<route::outcome> last_; ///< the last try, if it did not come to a connection
  reason why_ = reason::no_backend;    ///< else: why it came to nothing
  net::task again_;                    ///< the next backend is tried in a turn of its own
};

} // namespace marchproxy::relay

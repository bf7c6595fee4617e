// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/context.hpp"

#include <cstdint>
#include <memory>
#include <optional>

namespace marchproxy::relay {

/// An HTTP client's connection between requests, once the next has been awaited for a while: no
/// more than it takes to notice the next one, which a session of its kind goes on with.
class resting_session final : public connection, public stream::owner {
public:
  /// @param ingress_port  none: of the explicit proxy
  /// @param held          the backend that its source held it to, if one did
  /// @param patience      how much longer it may rest
  resting_session(context& c,
                  std::unique_ptr<stream> client,
                  const net::endpoint& peer,
                  std::optional<std::uint16_t> ingress_port,
                  std::shared_ptr<const routing::endpoint> held,
                  std::chrono::milliseconds patience);

  void start() override;
  void on_new_revision() override {}
  void on_drain() override;
  void abort() override { close(); }

private:
  void on_ready() override;
  void wake();
  void close();

  std::unique_ptr<stream> client_;
  net::endpoint peer_;
  std::optional<std::uint16_t> ingress_port_;
  std::shared_ptr<const routing::endpoint> held_;
  bool over_ = false;
  std::chrono::milliseconds patience_;
  net::timer end_;
};

} // namespace marchproxy::relay

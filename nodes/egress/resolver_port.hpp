// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/proxy/revision_engine.hpp"
#include "nodes/dns/server.hpp"
#include "nodes/egress/settings.hpp"
#include "nodes/serving/metrics.hpp"

#include <memory>
#include <vector>

namespace marchproxy::egress {

/// The resolver for clients (docs/resolver.md) as a part of this process: what of it others read,
/// from before it serves to after.
class resolver_port {
public:
  explicit resolver_port(const settings& options);

  /// What clients were told. Null: there is no such port.
  [[nodiscard]] const std::shared_ptr<net::lease_store>& told() const noexcept { return told_; }
  /// Opens the port, and serves until the value is let go. What clients were told is kept over
  /// restarts. Null: there is no such port.
  /// @param listen  its addresses
  /// @errors those of dns::server::start and net::name_servers; invalid_argument for a name server
  /// that is this resolver itself
  [[nodiscard]] result<std::shared_ptr<void>> serve(std::vector<net::endpoint> listen,
                                                    const proxy::revision_engine& engine) const;
  void add_metrics(serving::metric_list& out) const;

private:
  const settings& options_;
  std::shared_ptr<net::lease_store> told_;
  std::shared_ptr<dns::counters> counts_;
};

} // namespace marchproxy::egress

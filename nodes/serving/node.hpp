// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "bus-schemas/messages.hpp"
#include "nodes/serving/admin.hpp"
#include "nodes/serving/relay_tier.hpp"
#include "nodes/serving/rights.hpp"
#include "nodes/serving/settings.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace marchproxy::serving {

/// What makes one kind of proxy out of the parts that all have.
struct blueprint {
  std::string component;       ///< egress, ingress
  const rights* may = nullptr; ///< what the process may do; not null
  bus_schemas::enroll_request::kind_value kind = bus_schemas::enroll_request::kind_value::egress;
  relay::relay_settings relay;
  routing::endpoints* backends = nullptr; ///< of ingress routes; null: none are served
  std::vector<proxy::tier*> faster_tiers; ///< before the relay: those whose commit can fail
  /// After the last good revision is in force. @return which tiers serve
  std::function<result<proxy::tier_choice>()> attach;
  /// scheme://address:port that it serves on. @param proxy_port  of the explicit proxy
  std::function<std::vector<std::string>(std::uint16_t proxy_port)> addresses;
  /// @param sockets  the relay's tier
  std::function<admin_extras(const relay_tier& sockets)> extras;
  /// What else this kind serves, until the value that it returns is let go. None: nothing.
  std::function<result<std::shared_ptr<void>>(const proxy::revision_engine& engine)> beside;
};

/// Runs a proxy: the relay, the last good revision from disk, the node on the bus, the admin port.
/// Stops in the opposite order.
/// @param wait_for_stop  blocks until the process shall end
[[nodiscard]] result<void> run(const node_settings& options,
                               const blueprint& plan,
                               const std::function<void()>& wait_for_stop);

} // namespace marchproxy::serving

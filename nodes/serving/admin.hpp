// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/explain.hpp"
#include "actors/proxy/node.hpp"
#include "actors/proxy/revision_engine.hpp"
#include "nodes/api/explain_question.hpp"
#include "nodes/http/server.hpp"
#include "nodes/relay/relay_server.hpp"
#include "nodes/serving/metrics.hpp"
#include "nodes/serving/records.hpp"
#include "nodes/serving/relay_tier.hpp"
#include "nodes/serving/rights.hpp"

#include <caf/actor_system.hpp>

#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace marchproxy::serving {

/// What a kind of proxy adds to the admin port. Each may be empty; called from several threads.
struct admin_extras {
  std::function<std::vector<std::string>()> interfaces;
  std::function<void(metric_list&)> metrics;
  /// Adds `interfaces` and `counters` to the answer of tiers.
  std::function<void(nlohmann::json& answer)> tiers;
  /// Adds to the answer of healthz.
  std::function<void(nlohmann::json& answer)> health;
  /// Adds to the answer of explain what else judges.
  std::function<void(
    const api::explain_question& asked, const policy::explanation& told, nlohmann::json& answer)>
    explain;
};

/// What the admin port shows.
struct admin_view {
  std::string component; ///< egress, ingress
  caf::actor_system& system;
  proxy::node_actor node;
  std::shared_ptr<proxy::revision_engine> engine;
  relay::relay_server& relay;
  const relay_tier& sockets;
  const record_sinks& records;
  proxy::tier_choice tiers;
  const rights& may;
  const admin_extras& extras;
};

/// GET /healthz (200 while a revision is in force), GET /metrics (COMPAT-4), GET /tiers (ACC-1),
/// POST /explain (POL-9): the live proxy's own answer.
[[nodiscard]] http::response answer_admin(const admin_view& view, const http::request& request);

} // namespace marchproxy::serving

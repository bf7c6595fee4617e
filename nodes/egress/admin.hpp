// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/proxy/node.hpp"
#include "actors/proxy/revision_engine.hpp"
#include "nodes/egress/decision_log.hpp"
#include "nodes/egress/tiers.hpp"
#include "nodes/http/server.hpp"

#include <caf/actor_system.hpp>

#include <memory>

namespace marchproxy::egress {

/// What the admin port shows.
struct admin_view {
  caf::actor_system& system;
  proxy::node_actor node;
  std::shared_ptr<proxy::revision_engine> engine;
  relay::relay_server& relay;
  const decision_log* decisions = nullptr;       ///< null: none is written
  const proxy::verdict_feed* verdicts = nullptr; ///< null: none are told
  ebpf_tier* ebpf = nullptr;                     ///< null: not in use
  proxy::tier_choice tiers;
};

/// GET /healthz (200 while a revision is in force), GET /metrics (COMPAT-4), POST /explain (POL-9):
/// the live proxy's own answer, from its relay and, for routed flows, from the kernel's maps.
[[nodiscard]] http::response answer_admin(const admin_view& view, const http::request& request);

} // namespace marchproxy::egress

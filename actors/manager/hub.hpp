// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/manager/cluster.hpp"

#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <string>

namespace marchproxy::manager {

struct hub_options {
  std::shared_ptr<storage::store> store;
  std::shared_ptr<authority> trust;
  rollout::limits limits = {};
  std::uint64_t seat_limit = 0;
  request_handler handle_request = {};
  /// Between two runs that end keys and clear expired rows; servers that missed a claim get it
  /// then.
  std::chrono::milliseconds upkeep{10'000};
};

struct cluster_added {
  cluster_id id;
  std::string name;
};
struct cluster_removed {
  cluster_id id;
};
/// A change of this cluster was stored: roll it out, publish its outbox.
struct cluster_changed {
  cluster_id id; ///< 0: the installation
};
struct cluster_await {
  cluster_id id;
  marchproxy::revision revision;
};
struct cluster_proxy_gone {
  cluster_id id;
  std::string key;
};
struct outbox_tick {};
struct trust_tick {};
struct get_links {};
/// The manager's links to the bus, by cluster name; the installation's is `_installation`.
struct links {
  std::map<std::string, cluster_link> by_name;
};

} // namespace marchproxy::manager

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::cluster_added)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::cluster_removed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::cluster_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::cluster_await)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::cluster_proxy_gone)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::outbox_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::trust_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::get_links)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::links)

namespace marchproxy::manager {

/// All clusters of this manager: one cluster actor each, and the outbox that feeds their streams.
using hub_actor = caf::typed_actor<caf::reacts_to<cluster_added>,
                                   caf::reacts_to<cluster_removed>,
                                   caf::reacts_to<cluster_changed>,
                                   caf::replies_to<cluster_await>::with<rollout_report>,
                                   caf::reacts_to<cluster_proxy_gone>,
                                   caf::reacts_to<outbox_tick>,
                                   caf::reacts_to<trust_tick>,
                                   caf::replies_to<get_links>::with<links>>;

/// Starts an actor for the installation and for each cluster that the store knows.
[[nodiscard]] hub_actor spawn_hub(caf::actor_system& system, hub_options options);

} // namespace marchproxy::manager

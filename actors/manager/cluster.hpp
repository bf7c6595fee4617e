// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/bus/gateway.hpp"
#include "actors/manager/authority.hpp"
#include "actors/manager/worker.hpp"
#include "actors/rollout/coordinator.hpp"
#include "actors/storage/store.hpp"

#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace marchproxy::manager {

/// Answers a request of automation: the request's bytes and its cluster in, the reply's `data` out.
/// Blocks.
using request_handler = std::function<std::string(cluster_id, const std::string&)>;

struct cluster_options {
  cluster_id id;
  std::string name;
  rollout::limits limits = {};
  std::uint64_t seat_limit = 0;           ///< of the whole installation; 0: none
  std::chrono::milliseconds lease{15000}; ///< a proxy that was silent for so long is stale
  std::shared_ptr<storage::store> store;
  std::shared_ptr<authority> trust;
  request_handler handle_request = {};
};

/// The cluster's newest revision may have changed.
struct revision_created {};
/// Answered when that revision, or a newer one, is in force, committed or aborted; unanswered past
/// the caller's timeout.
struct await_rollout {
  marchproxy::revision revision;
};
struct rollout_report {
  rollout::outcome outcome = rollout::outcome::aborted;
  marchproxy::revision revision;
  std::size_t expected = 0;
  std::size_t applied = 0;
  std::string reason;
};
/// Its bus credentials are void: do not wait for it any more.
struct proxy_gone {
  std::string key;
};
/// Sends what the store has for this cluster in its outbox.
struct outbox_batch {
  std::vector<storage::outbox_row> rows;
};
struct outbox_sent {
  std::vector<std::uint64_t> ids;
};
struct cluster_tick {};
struct get_cluster_link {};
struct cluster_link {
  bool up = false;
  std::string reason;
};

} // namespace marchproxy::manager

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::revision_created)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::await_rollout)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::rollout_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::proxy_gone)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::outbox_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::outbox_sent)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::cluster_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::get_cluster_link)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::cluster_link)

namespace marchproxy::manager {

/// One cluster on the bus: enrols proxies, follows their leases, rolls revisions out, answers
/// automation, publishes the outbox. Holds no truth of its own: after a restart it goes on from the
/// store.
using cluster_actor = caf::typed_actor<caf::reacts_to<revision_created>,
                                       caf::replies_to<await_rollout>::with<rollout_report>,
                                       caf::reacts_to<proxy_gone>,
                                       caf::replies_to<outbox_batch>::with<outbox_sent>,
                                       caf::reacts_to<cluster_tick>,
                                       caf::replies_to<get_cluster_link>::with<cluster_link>,
                                       caf::reacts_to<bus::bus_message>,
                                       caf::reacts_to<bus::bus_link>>;

/// Id 0 is the installation: it only publishes the outbox.
/// @errors those of authority::manager_login
[[nodiscard]] result<cluster_actor> spawn_cluster(caf::actor_system& system,
                                                  cluster_options options);

} // namespace marchproxy::manager

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/bus/cluster_key.hpp"
#include "actors/bus/gateway.hpp"
#include "actors/proxy/revision_engine.hpp"
#include "actors/proxy/tier.hpp"
#include "actors/proxy/verdict_feed.hpp"
#include "bus-schemas/messages.hpp"

#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace marchproxy::proxy {

struct node_options {
  std::vector<std::string> bus_urls; ///< nats://host:port
  bus::cluster_api_key cluster_key;
  std::string name;
  std::string hostname;
  bus_schemas::enroll_request::kind_value kind = bus_schemas::enroll_request::kind_value::egress;
  std::vector<std::string> addresses; ///< scheme://address:port that it serves on
  tier_choice tiers;
  std::shared_ptr<verdict_feed> verdicts; ///< null: none are told on the bus
  std::chrono::milliseconds poll{
    2000}; ///< reads the decision record: converges when every signal is lost
  std::chrono::milliseconds status{5000}; ///< between status events
};

/// How the node stands, for /healthz and `status`.
struct node_state {
  bool joined = false; ///< enrolled since the start
  bool bus_up = false;
  std::string bus_reason; ///< why not, while down
  std::string cluster;
  std::string key;               ///< public user nkey; empty before the first join
  marchproxy::revision revision; ///< in force
  std::string last_refusal;      ///< of a revision, with its reason; empty: none
};

struct get_node_state {};
struct counters_source {
  std::function<std::map<std::string, std::uint64_t>()> read;
};

// Of the node to itself.
struct join_now {};
struct poll_now {};
struct status_now {};
struct renew_now {
  std::uint64_t enrolment = 0; ///< which enrolment's timer it is; those of former ones are void
};
struct poll_tick {};
struct status_tick {};
struct verdicts_waiting {};

} // namespace marchproxy::proxy

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::node_state)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::get_node_state)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::join_now)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::poll_now)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::status_now)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::renew_now)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::poll_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::status_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::verdicts_waiting)

namespace marchproxy::proxy {

/// A proxy on the bus: joins with the cluster key, keeps its JWT fresh, takes revisions through the
/// applier (actors/rollout) and the engine, acknowledges or refuses, reports its status, tells
/// verdicts. Without the bus it goes on with the revision in force and keeps trying.
using node_actor = caf::typed_actor<caf::reacts_to<join_now>,
                                    caf::reacts_to<poll_now>,
                                    caf::reacts_to<status_now>,
                                    caf::reacts_to<renew_now>,
                                    caf::reacts_to<poll_tick>,
                                    caf::reacts_to<status_tick>,
                                    caf::reacts_to<verdicts_waiting>,
                                    caf::reacts_to<bus::bus_message>,
                                    caf::reacts_to<bus::bus_link>,
                                    caf::replies_to<get_node_state>::with<node_state>>;

/// @param engine    has restored the last good revision already; used by the node's stager alone
/// from now on
/// @param counters  read for each status event, from the node's thread
[[nodiscard]] node_actor spawn_node(caf::actor_system& system,
                                    node_options options,
                                    std::shared_ptr<revision_engine> engine,
                                    counters_source counters);

/// The cluster whose revisions this directory holds, as noted at the last enrolment.
[[nodiscard]] std::optional<policy_authority> read_authority(const revision_file& file);
[[nodiscard]] result<void> write_authority(const revision_file& file,
                                           const policy_authority& authority);

} // namespace marchproxy::proxy

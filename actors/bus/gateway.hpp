// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/bus/connection.hpp"
#include "actors/bus/message.hpp"

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>
#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace marchproxy::bus {

/// Send one message. To a request() the answer says only that it left this process, or why not; who
/// merely send()s this hears nothing, and a message that could not leave is counted as unsent.
struct bus_publish {
  message content;
};

/// Send one and answer with the reply. Errors (see from_caf): unavailable, timeout, forbidden.
struct bus_request {
  message content;
  std::chrono::milliseconds timeout{2000};
};

/// Deliver what arrives on a subject, wildcards allowed, to an actor as bus_message. Ends when that
/// actor does.
struct bus_subscribe {
  std::string subject;
  caf::actor to;
  /// Messages that may be on their way to the actor or wait in its mailbox; more are dropped and
  /// counted.
  std::uint32_t limit = 4096;
};

struct bus_unsubscribe {
  subscription_id id;
};

/// Tell an actor the state of the link as bus_link: now, and whenever it changes.
struct bus_watch {
  caf::actor to;
};

/// Drop the link and log in anew, with the JWT that the source gives then.
struct bus_reconnect {};

struct get_bus_stats {};

struct bus_stats {
  std::uint64_t published = 0;
  std::uint64_t unsent = 0; ///< publishes that failed, most often because the link was down
  std::uint64_t requests = 0;
  std::uint64_t delivered = 0;  ///< to subscribers
  std::uint64_t dropped = 0;    ///< because a subscriber had its limit waiting
  std::uint64_t objections = 0; ///< publishes and subscriptions that the server refused
  std::uint64_t losses = 0;     ///< of the link
};

/// A message for a subscriber. The ticket counts against the subscription's limit until the last
/// copy of this is gone, so a subscriber lets go of it when it is done.
struct bus_message {
  message content;
  std::shared_ptr<const void> ticket = {};
};

struct bus_link {
  link_state state;
  caf::actor_addr gateway = {}; ///< whose link: who has replaced its gateway may hear of the former
};

/// From the connection's threads to the gateway itself.
struct bus_reply_arrived {
  std::uint64_t token = 0;
  result<message> reply;
};
struct bus_objection {
  std::string text;
};

} // namespace marchproxy::bus

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::message)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::subscription_id)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::bus_publish)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::bus_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::bus_subscribe)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::bus_unsubscribe)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::bus_watch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::bus_reconnect)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::get_bus_stats)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::bus_stats)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::bus_message)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::bus_link)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::bus_reply_arrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::bus::bus_objection)

namespace marchproxy::bus {

/// The only door of actors to the bus (BUS-1). Other rooms depend on this interface and test
/// against an actor of their own that has it.
using gateway_actor = caf::typed_actor<caf::reacts_to<bus_publish>,
                                       caf::replies_to<bus_request>::with<message>,
                                       caf::replies_to<bus_subscribe>::with<subscription_id>,
                                       caf::reacts_to<bus_unsubscribe>,
                                       caf::reacts_to<bus_watch>,
                                       caf::reacts_to<bus_reconnect>,
                                       caf::replies_to<get_bus_stats>::with<bus_stats>,
                                       caf::reacts_to<bus_reply_arrived>,
                                       caf::reacts_to<bus_link>,
                                       caf::reacts_to<bus_objection>>;

/// Starts a gateway over a connection of its own; @p options.on_link and on_objection are set by
/// it. End it with an exit message: it closes the connection before it is gone. Not for CAF's
/// registry.
/// @errors invalid_argument as connection::open
[[nodiscard]] result<gateway_actor> spawn_gateway(caf::actor_system& system,
                                                  connection_options options);

} // namespace marchproxy::bus

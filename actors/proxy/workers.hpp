// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// The node's two blocking helpers.

#include "actors/bus/joining.hpp"
#include "actors/proxy/revision_engine.hpp"

#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include <memory>
#include <string>

namespace marchproxy::proxy {

struct stage_request {
  policy_authority authority;
  std::shared_ptr<const stored_revision> revision;
};
struct flip_request {
  marchproxy::revision revision;
};
struct drop_request {
  marchproxy::revision revision;
};
struct note_request {
  policy_authority authority;
};
/// Of stage and flip: an empty reason is success.
struct work_outcome {
  bool ok = false;
  std::string reason;
};
struct join_request {
  std::shared_ptr<const bus::join_options> options;
};
struct join_outcome {
  result<std::string> reply;
};

} // namespace marchproxy::proxy

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::stage_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::flip_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::drop_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::note_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::work_outcome)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::join_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::proxy::join_outcome)

namespace marchproxy::proxy {

/// Detached: compiles, fills BPF maps and waits for the disk.
using stager_actor = caf::typed_actor<caf::replies_to<stage_request>::with<work_outcome>,
                                      caf::replies_to<flip_request>::with<work_outcome>,
                                      caf::reacts_to<drop_request>,
                                      caf::reacts_to<note_request>>;
/// Detached: bus::join blocks until the manager answers.
using joiner_actor = caf::typed_actor<caf::replies_to<join_request>::with<join_outcome>>;

[[nodiscard]] stager_actor spawn_stager(caf::actor_system& system,
                                        std::shared_ptr<revision_engine> engine);
[[nodiscard]] joiner_actor spawn_joiner(caf::actor_system& system);

} // namespace marchproxy::proxy

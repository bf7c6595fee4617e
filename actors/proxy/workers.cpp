// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/proxy/workers.hpp"

#include "actors/proxy/node.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <spdlog/spdlog.h>

namespace marchproxy::proxy {

namespace {

work_outcome outcome_of(const result<void>& done) {
  return done ? work_outcome{true, ""} : work_outcome{false, to_string(done.error())};
}

stager_actor::behavior_type stager(stager_actor::pointer,
                                   const std::shared_ptr<revision_engine>& engine) {
  return {
    [engine](const stage_request& r) {
      return outcome_of(engine->stage(r.authority, *r.revision));
    },
    [engine](const flip_request& r) { return outcome_of(engine->flip(r.revision)); },
    [engine](const drop_request& r) { engine->drop(r.revision); },
    [engine](const note_request& r) {
      if (auto done = write_authority(engine->file(), r.authority); !done)
        spdlog::error("cannot note the cluster: {}", to_string(done.error()));
    },
  };
}

joiner_actor::behavior_type joiner(joiner_actor::pointer) {
  return {
    [](const join_request& r) { return join_outcome{bus::join(*r.options)}; },
  };
}

} // namespace

stager_actor spawn_stager(caf::actor_system& system, std::shared_ptr<revision_engine> engine) {
  return system.spawn<caf::detached>(stager, std::move(engine));
}

joiner_actor spawn_joiner(caf::actor_system& system) {
  return system.spawn<caf::detached>(joiner);
}

} // namespace marchproxy::proxy

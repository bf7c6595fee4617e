// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/manager/worker.hpp"

#include <caf/typed_event_based_actor.hpp>

namespace marchproxy::manager {

worker_actor spawn_worker(caf::actor_system& system) {
  return system.spawn<caf::detached>([](worker_actor::pointer) -> worker_actor::behavior_type {
    return {
      [](const job& j) {
        j.run();
        return job_done{};
      },
    };
  });
}

} // namespace marchproxy::manager

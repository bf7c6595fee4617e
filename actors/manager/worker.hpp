// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include <functional>

namespace marchproxy::manager {

/// A piece of blocking work. It keeps its own result (a shared pointer that its closure holds).
struct job {
  std::function<void()> run;
};
struct job_done {};

} // namespace marchproxy::manager

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::job)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(marchproxy::manager::job_done)

namespace marchproxy::manager {

/// Does blocking work (SQL, compiling, waiting for the bus) for actors that must not block: one job
/// after the other, in the order they came.
using worker_actor = caf::typed_actor<caf::replies_to<job>::with<job_done>>;

/// Detached, since its jobs block.
[[nodiscard]] worker_actor spawn_worker(caf::actor_system& system);

} // namespace marchproxy::manager

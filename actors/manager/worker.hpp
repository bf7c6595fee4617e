// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/bus/actor_error.hpp"

#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

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

/// Has @p run done by @p worker and gives what it returned to @p then, as a message of @p self.
/// @tparam T  a result<...>: an error when there is no answer within @p limit, in which case the
/// job
///            may be done nevertheless
template <class T, class Self>
void have_done(Self* self,
               const worker_actor& worker,
               std::chrono::seconds limit,
               std::function<T()> run,
               std::function<void(T)> then) {
  auto out = std::make_shared<std::optional<T>>();
  self->request(worker, limit, job{[out, run = std::move(run)] { *out = run(); }})
    .then([out, then](job_done) { then(std::move(**out)); },
          [then](const caf::error& e) { then(T{tl::unexpected(bus::from_caf(e))}); });
}

} // namespace marchproxy::manager

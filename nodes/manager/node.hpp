// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/manager/settings.hpp"

#include <functional>

namespace marchproxy::manager_node {

/// Runs a manager until @p stop_requested says so: database, keyring, bus (private unless
/// NATS_URL), actors, API; stops in the opposite order.
/// @param wait_for_stop  blocks until the process shall end
/// @errors what kept it from starting, naming the part
[[nodiscard]] result<void> run(const settings& options, const std::function<void()>& wait_for_stop);

} // namespace marchproxy::manager_node

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/egress/settings.hpp"

#include <functional>

namespace marchproxy::egress {

/// Runs an egress proxy: relay and, where the kernel and the privileges allow it, the tc program;
/// the last good revision from disk; the node on the bus; the admin port. Stops in the opposite
/// order.
/// @param wait_for_stop  blocks until the process shall end
[[nodiscard]] result<void> run(const settings& options, const std::function<void()>& wait_for_stop);

} // namespace marchproxy::egress

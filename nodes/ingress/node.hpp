// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/ingress/settings.hpp"

#include <functional>

namespace marchproxy::ingress {

/// Runs an ingress proxy: a relay whose listeners are those of the cluster's ingress routes.
/// @param wait_for_stop  blocks until the process shall end
[[nodiscard]] result<void> run(const settings& options, const std::function<void()>& wait_for_stop);

} // namespace marchproxy::ingress

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/limits.hpp"
#include "bpf/abi/rules.h"

#include <optional>

namespace marchproxy::policy {

/// A limit as buckets read it: its tokens counted in fixed point, with room on their clock for
/// years. None: burst 0.
[[nodiscard]] mp_terms terms_of(const std::optional<model::rate_limit>& limit) noexcept;

} // namespace marchproxy::policy

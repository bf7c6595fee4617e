// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/model.hpp"

#include <cstdint>

namespace marchproxy::policy {

/// MP_RULE_ flags of the rules that a mapping makes.
/// @param observe_all  the cluster is observed
[[nodiscard]] std::uint32_t rule_flags(const model::mapping& m, bool observe_all) noexcept;

} // namespace marchproxy::policy

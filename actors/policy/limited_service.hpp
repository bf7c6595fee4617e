// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/program.hpp"

namespace marchproxy::policy {

/// The service whose limits hold for what goes where @p f goes (POL-7), whatever mapping allows it:
/// of the active ones with limits whose ports and protocols fit, the one at the name asked for,
/// else below the longest wildcard that fits, else with the longest prefix; of several at one place
/// the one with the lowest id. Null: none's. Linear time; what relays use is nodes/limiting's
/// table.
[[nodiscard]] const model::service* limited_service(const model::ruleset& rules, const flow& f);

} // namespace marchproxy::policy

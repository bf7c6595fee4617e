// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>

#include "actors/base/error.hpp"
#include "actors/policy/program.hpp"
#include "nodes/relay/credentials.hpp"

namespace marchproxy::egress {

/// Checks what clients of the relay show against the credentials of the ruleset (IDN-3).
/// @errors those of a credential that cannot be used, naming it
[[nodiscard]] result<std::shared_ptr<const relay::credential_checker>> make_checker(const policy::program& program);

} // namespace marchproxy::egress

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/judge.hpp"

namespace marchproxy::relay {

/// judge_address() for a flow that is to go from here to @p address: as reserved addresses, this
/// node's own are reached by observation only if the mapping has allow_private, since what listens
/// there may trust whoever comes from the node itself. Asks the kernel, and only for flows that are
/// observed.
[[nodiscard]] judgement
judge_way(const policy_snapshot* snapshot, const question& q, const ip_address& address);

} // namespace marchproxy::relay

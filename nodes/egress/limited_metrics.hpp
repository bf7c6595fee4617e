// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/loader/limit_meters.hpp"
#include "nodes/serving/metrics.hpp"

#include <string>
#include <vector>

namespace marchproxy::egress {

/// What limits stopped, as PREFIX_limited_total{of,id,limit} and PREFIX_limit_crowded_total{of,id}:
/// series of those that stopped something.
/// @param prefix  of the names, without `_` at its end
void add_limited(const std::string& prefix,
                 const std::vector<tier_ebpf::limited_count>& counts,
                 serving::metric_list& out);

} // namespace marchproxy::egress

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/egress/tiers.hpp"
#include "nodes/serving/admin.hpp"

namespace marchproxy::egress {

/// What the packet programs add to the admin port: their interfaces, their counters, and for routed
/// flows what the kernel's maps say. @param tier  null: they are not in use
[[nodiscard]] serving::admin_extras kernel_view(const ebpf_tier* tier);

} // namespace marchproxy::egress

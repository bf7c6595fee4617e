// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/egress/settings.hpp"
#include "nodes/serving/admin.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

// Virtual functions (SR-IOV) as devices of the packet worker.
namespace marchproxy::egress {

/// @p ports with the PCI address in place of each name such as `eth1/vf0`.
/// @param sysfs  root of the tree: /sys
/// @errors not_found, conflict (no driver that DPDK can use has it, or two names mean one device),
/// naming DPDK_PORTS and the function
[[nodiscard]] result<std::vector<dpdk_port>> with_addresses(std::vector<dpdk_port> ports,
                                                            const std::string& sysfs);

/// What the admin port tells of SR-IOV: the cards, and by `port` the interface that stands in for a
/// function that the worker has. Adds `sriov`, and to `declined` why none is used, to @p answer.
/// @param worker  the packet worker's devices, as configured
void add_sriov(nlohmann::json& answer,
               const std::vector<dpdk_port>& worker,
               const std::string& sysfs);

/// Has the answer of tiers tell it, read from /sys each time.
void add_sriov_view(serving::admin_extras& to, const std::vector<dpdk_port>& worker);

} // namespace marchproxy::egress

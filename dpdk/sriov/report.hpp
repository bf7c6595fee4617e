// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/sriov/inventory.hpp"
#include "dpdk/sriov/machine_use.hpp"
#include "dpdk/sriov/plan.hpp"

#include <nlohmann/json_fwd.hpp>

#include <span>
#include <string>

// What people and programs are shown.
namespace marchproxy::sriov {

/// Why SR-IOV is not in use; empty when there are virtual functions.
[[nodiscard]] std::string why_unused(const inventory& has);

/// An array of physical functions with their virtual ones: `functions`. What is not known is null.
[[nodiscard]] nlohmann::json to_json(const inventory& has);
/// Likewise, with `management` (why the machine is managed by it) and `in_use` (why a virtual
/// function must not be touched), null when not.
[[nodiscard]] nlohmann::json to_json(const inventory& has, const machine_use& use);
/// An array of steps: `what`, `does`, `back`.
[[nodiscard]] nlohmann::json to_json(std::span<const step> steps);

} // namespace marchproxy::sriov

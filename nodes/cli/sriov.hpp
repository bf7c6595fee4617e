// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/sriov/apply.hpp"
#include "nodes/cli/command.hpp"

#include <nlohmann/json_fwd.hpp>

namespace marchproxy::cli {

/// `sriov list`, `plan`, `apply` and `remove` on @p machine. @return the exit code
[[nodiscard]] int run_sriov_on(const sriov::machine& machine, const arguments& given, terminal& at);

/// A row for each virtual function of @p cards, its `function` named as in DPDK_PORTS. What is no
/// list of cards has no rows.
[[nodiscard]] nlohmann::json function_rows(const nlohmann::json& cards);

} // namespace marchproxy::cli

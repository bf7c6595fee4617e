// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/sriov/inventory.hpp"

#include <optional>
#include <string>
#include <string_view>

// A virtual function as a device of the packet worker.
namespace marchproxy::sriov {

/// `eth1/vf0`, `0000:01:00.0/vf0`.
struct function_name {
  std::string parent;
  unsigned index = 0;

  bool operator==(const function_name&) const = default;
};

/// @return nothing when @p text has another form
[[nodiscard]] std::optional<function_name> parse_function_name(std::string_view text);

/// The PCI address by which DPDK gets a virtual function.
/// @errors not_found (no such function), conflict: no driver that DPDK can use has it
[[nodiscard]] result<std::string> worker_device(const inventory& has, const function_name& name);

/// Why DPDK cannot use a virtual function; nothing when it can.
[[nodiscard]] std::optional<std::string> why_not_for_worker(const virtual_function& function);

} // namespace marchproxy::sriov

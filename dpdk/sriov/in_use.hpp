// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/sriov/machine_use.hpp"
#include "dpdk/sriov/wanted.hpp"

#include <optional>
#include <string>
#include <vector>

// Reasons against a change, as text for people.
namespace marchproxy::sriov {

/// All the reasons against a change, by what they are about.
class objections {
public:
  void add(std::string about, std::string why) {
    fields_.push_back({std::move(about), std::move(why)});
  }
  [[nodiscard]] bool any() const noexcept { return !fields_.empty(); }
  /// A conflict that names each.
  [[nodiscard]] error as_error() const;

private:
  std::vector<field_error> fields_;
};

/// Why a virtual function must not be touched; nothing when nobody has it.
[[nodiscard]] std::optional<std::string>
why_in_use(const inventory& has, const virtual_function& function, const machine_use& use);

/// Why the number of virtual functions must not change, whatever it is; adds to @p out.
void object_to_count(const physical_function& of, const machine_use& use, objections& out);

/// Why vfio-pci cannot have a virtual function; nothing when it can.
[[nodiscard]] std::optional<std::string> why_not_vfio(const inventory& has,
                                                      const physical_function& parent,
                                                      const virtual_function& function,
                                                      const wanted_state& wanted);

/// For messages: `eth1 (0000:01:00.0)`.
[[nodiscard]] std::string title(const physical_function& of);

} // namespace marchproxy::sriov

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/sriov/inventory.hpp"
#include "dpdk/sriov/machine_use.hpp"
#include "dpdk/sriov/wanted.hpp"

#include <string>
#include <variant>
#include <vector>

namespace marchproxy::sriov {

/// A text written to a file of sysfs.
struct sysfs_write {
  std::string file; ///< relative to the root
  std::string text;

  bool operator==(const sysfs_write&) const = default;
};

/// A setting of a virtual function, by netlink.
struct vf_change {
  std::string interface; ///< the physical function's
  int index = 0;         ///< its index
  unsigned vf = 0;
  vf_setting to;

  bool operator==(const vf_change&) const = default;
};

using action = std::variant<sysfs_write, vf_change>;

/// `write 4 to bus/pci/devices/0000:01:00.0/sriov_numvfs`; `set dev eth1 vf 0 vlan 100`.
[[nodiscard]] std::string to_string(const action& of);

struct step {
  std::string what; ///< for people
  action does;
  std::vector<action> back; ///< what undoes it, in this order
  /// Nothing tells whether it is needed: the driver does not say how it is set.
  bool blind = false;
};

/// The steps to as many virtual functions as are wanted. The kernel goes from one number to another
/// by none at all.
/// @errors not_found (no such physical function), conflict, with each reason against it as a field:
/// the machine is managed by the physical function, or a virtual one is in use
[[nodiscard]] result<std::vector<step>>
plan_count(const inventory& has, const wanted_state& wanted, const machine_use& use);

/// The steps that give the virtual functions there are their settings and drivers.
/// @param has  with as many as are wanted
/// @errors as plan_count, and: a driver that is not loaded, no IOMMU, a group that others use
[[nodiscard]] result<std::vector<step>>
plan_functions(const inventory& has, const wanted_state& wanted, const machine_use& use);

/// Both, the second for what is to be expected after the first; no step when all is as wanted.
/// @errors as theirs
[[nodiscard]] result<std::vector<step>>
plan(const inventory& has, const wanted_state& wanted, const machine_use& use);

} // namespace marchproxy::sriov

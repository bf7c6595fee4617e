// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/sriov/plan.hpp"

#include <functional>
#include <string>
#include <vector>

namespace marchproxy::sriov {

/// A machine, or in tests what stands for one.
struct machine {
  const sysfs_reader& sys;
  attribute_writer& files;
  netlink_transport& netlink;
  std::string proc; ///< root of a proc tree
  management_options management;
};

struct observed {
  inventory has;
  machine_use use;
};

/// Reads all of it: sysfs, what drivers say of their virtual functions, who uses what.
/// @errors as read_inventory, read_settings and read_use
[[nodiscard]] result<observed> observe(const machine& at);

/// Brings a physical function to @p wanted: plans, does step after step, reads again, and sees
/// whether all is as wanted. When a step fails, or what was done is not there, what was done is
/// undone, the last first.
/// @param before_step  called with each step before it is done
/// @return the steps done; none when all was as wanted
/// @errors as plan; with the step, the file and the kernel's reason, and whether all was undone
[[nodiscard]] result<std::vector<step>> apply(const machine& at,
                                              const wanted_state& wanted,
                                              const std::function<void(const step&)>& before_step);

} // namespace marchproxy::sriov

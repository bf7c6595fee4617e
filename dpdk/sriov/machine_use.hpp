// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/sriov/inventory.hpp"
#include "dpdk/sriov/netlink.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace marchproxy::sriov {

/// What must not be cut, and who uses what.
struct machine_use {
  /// Interfaces that the machine is managed by, with why: `the default route goes by it`.
  std::map<std::string, std::string> management;
  std::set<std::string> open_files; ///< of those in /dev/vfio, by any program
};

struct management_options {
  std::vector<std::string> named;    ///< interfaces that count as management, whatever they do
  std::vector<std::string> released; ///< whose connections may be cut
};

/// The interfaces that the machine is managed by:
/// - those named;
/// - those that a default route uses, of any table and family;
/// - those with an address that an established TCP connection of the machine uses: who is logged
/// in,
///   and the node's bus, are among them;
/// - and each that lies below one of these: a bond's, a bridge's, a VLAN's.
/// @param proc  root of a proc tree: net/tcp, net/tcp6 and the descriptors of all processes
/// @errors unavailable, invalid_argument (an interface is named that is not there)
[[nodiscard]] result<machine_use> read_use(const inventory& what,
                                           const management_options& options,
                                           netlink_transport& kernel,
                                           const std::string& proc);

/// Adds to each physical function whether netlink reaches it, and to its virtual ones what its
/// driver says of them. Those whose interface @p kernel does not know are left as they are.
/// @errors unavailable, timeout
[[nodiscard]] result<void> read_settings(inventory& of, netlink_transport& kernel);

} // namespace marchproxy::sriov

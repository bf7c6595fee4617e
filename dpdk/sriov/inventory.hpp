// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/sriov/pci_address.hpp"
#include "dpdk/sriov/sysfs.hpp"
#include "dpdk/sriov/vf_settings.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::sriov {

/// Another function in the IOMMU group of one.
struct group_member {
  pci_address address;
  std::string driver; ///< empty: none

  bool operator==(const group_member&) const = default;
};

/// Of an expected function, which one of the kernel's drivers will take.
constexpr std::string_view unknown_driver = "(the kernel's)";

/// A virtual function.
struct virtual_function {
  unsigned index = 0;
  std::optional<pci_address> address;  ///< none: it is not there yet, and nobody can tell
  bool expected = false;               ///< it is not there yet: what is to be expected of it
  std::string driver;                  ///< empty: none; unknown_driver when only expected
  std::string driver_override;         ///< empty: none
  std::vector<std::string> interfaces; ///< of this network namespace
  std::optional<unsigned> iommu_group;
  std::vector<group_member> group;     ///< the others in it
  std::vector<std::string> files;      ///< in /dev, by which programs have it from vfio
  std::optional<vf_settings> settings; ///< as the physical function's driver tells them
};

/// A network card that can have virtual functions, or one port of it.
struct physical_function {
  pci_address address;
  std::string driver; ///< empty: none
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::optional<unsigned> numa_node;
  unsigned most = 0;              ///< virtual functions that it can have
  unsigned count = 0;             ///< that it has
  std::optional<bool> autoprobe;  ///< whether the kernel's drivers take new ones; none: old kernel
  std::optional<unsigned> offset; ///< of the first one's routing id from its own
  std::optional<unsigned> stride;
  std::optional<unsigned> iommu_group;
  std::vector<std::string> interfaces; ///< of this network namespace; messages go to the first
  /// Netlink knows the first one by the same name and index, so that sysfs and netlink show the
  /// same network namespace. By read_settings().
  bool reachable = false;
  std::vector<virtual_function> functions; ///< by index
};

/// A network interface, and those that are stacked on it or below it: bond, bridge, VLAN.
struct network_interface {
  std::string name;
  int index = 0;
  bool up = false;
  std::vector<std::string> upper;
  std::vector<std::string> lower;
};

/// What a machine has. Values: nothing changes in it.
struct inventory {
  std::vector<physical_function> functions;  ///< by address
  std::vector<network_interface> interfaces; ///< of the network namespace that sysfs shows
  bool vfio_pci = false;                     ///< the driver is loaded
  bool unsafe_without_iommu = false;         ///< vfio may be used without an IOMMU

  /// By `eth1` or `0000:01:00.0`. @return nullptr when there is none
  [[nodiscard]] const physical_function* find(std::string_view name) const;
  [[nodiscard]] const network_interface* interface(std::string_view name) const;
};

/// Reads a sysfs tree: network cards (PCI class 02) with sriov_totalvfs, and all interfaces. The
/// settings of virtual functions are not in it (read_settings).
/// @errors unavailable, corrupt, naming the file
/// @source Documentation/ABI/testing/sysfs-bus-pci and sysfs-class-net of the kernel
[[nodiscard]] result<inventory> read_inventory(const sysfs_reader& sys);

/// What will be there once @p of has @p count virtual functions. @param probed  the kernel's
/// drivers take them
[[nodiscard]] physical_function
expect_functions(const physical_function& of, unsigned count, bool probed);

} // namespace marchproxy::sriov

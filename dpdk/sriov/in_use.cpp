// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/in_use.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace marchproxy::sriov {

namespace {

constexpr std::string_view vfio = "vfio-pci";

/// Drivers that leave an IOMMU group to vfio: they do no DMA for the kernel.
/// Source: driver_managed_dma in the kernel's drivers/pci and drivers/vfio.
constexpr std::array<std::string_view, 4> harmless{"", vfio, "pci-stub", "pcieport"};

std::optional<std::string>
why_interface_in_use(const inventory& has, const std::string& name, const machine_use& use) {
  if (auto found = use.management.find(name); found != use.management.end())
    return "the machine is managed by its interface " + name + " (" + found->second + ")";
  const auto* interface = has.interface(name);
  if (interface == nullptr)
    return "its interface " + name + " has just gone";
  if (!interface->upper.empty())
    return interface->upper.front() + " is stacked on its interface " + name;
  if (interface->up)
    return "its interface " + name + " is up; `ip link set " + name + " down` says that it is free";
  return std::nullopt;
}

/// Whether a member of a group is a virtual function that shall be vfio's too.
bool goes_along(const group_member& member,
                const physical_function& parent,
                const wanted_state& wanted) {
  return std::any_of(parent.functions.begin(), parent.functions.end(), [&](const auto& f) {
    return f.address == member.address && f.index < wanted.functions.size()
           && wanted.functions[f.index].driver == driver_choice::vfio_pci;
  });
}

} // namespace

error objections::as_error() const {
  error out{errc::conflict, "", fields_};
  out.message = fields_.size() == 1
                  ? "there is a reason against it"
                  : "there are " + std::to_string(fields_.size()) + " reasons against it";
  return out;
}

std::string title(const physical_function& of) {
  return of.interfaces.empty() ? to_string(of.address)
                               : of.interfaces.front() + " (" + to_string(of.address) + ")";
}

std::optional<std::string>
why_in_use(const inventory& has, const virtual_function& function, const machine_use& use) {
  if (function.expected)
    return std::nullopt;
  for (const auto& file : function.files) // its group's too: whoever has one has all
    if (use.open_files.count(file) != 0)
      return "a program has " + file + " open";
  if (function.driver.empty())
    return std::nullopt;
  for (const auto& name : function.interfaces)
    if (auto why = why_interface_in_use(has, name, use))
      return why;
  if (function.driver != vfio && function.interfaces.empty())
    return "the driver " + function.driver
           + " has it, and shows no interface in this network namespace: another may use it";
  return std::nullopt;
}

void object_to_count(const physical_function& of, const machine_use& use, objections& out) {
  const auto about = title(of);
  if (of.driver.empty())
    return out.add(about, "no driver has it: the kernel makes virtual functions by its driver");
  if (of.interfaces.empty())
    return out.add(about, "its driver " + of.driver
                            + " shows no interface in this network namespace, so that nobody can "
                              "tell what goes by it");
  if (!of.reachable)
    return out.add(about, "sysfs shows " + of.interfaces.front()
                            + ", and netlink does not: they are of different network namespaces");
  for (const auto& name : of.interfaces)
    if (auto found = use.management.find(name); found != use.management.end())
      out.add(about, "the machine is managed by " + name + " (" + found->second
                       + "); a change of the number may reset the card");
}

std::optional<std::string> why_not_vfio(const inventory& has,
                                        const physical_function& parent,
                                        const virtual_function& function,
                                        const wanted_state& wanted) {
  if (!has.vfio_pci)
    return "the driver vfio-pci is not loaded: modprobe vfio-pci";
  if (!function.driver_override.empty() && function.driver_override != vfio)
    return "its driver_override is " + function.driver_override + ", which is not of our making";
  const auto& group = function.expected ? parent.iommu_group : function.iommu_group;
  if (!group) {
    if (!wanted.no_iommu)
      return "there is no IOMMU, so that whoever has it reads and writes all memory; see "
             "docs/sriov.md, or set no_iommu";
    if (!has.unsafe_without_iommu)
      return "there is no IOMMU, and vfio's parameter enable_unsafe_noiommu_mode is not Y";
    return std::nullopt;
  }
  for (const auto& member : function.group)
    if (std::find(harmless.begin(), harmless.end(), member.driver) == harmless.end()
        && !goes_along(member, parent, wanted))
      return "its IOMMU group " + std::to_string(*group) + " also holds "
             + to_string(member.address) + ", which the driver " + member.driver + " has";
  return std::nullopt;
}

} // namespace marchproxy::sriov

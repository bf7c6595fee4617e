// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/inventory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace marchproxy::sriov {

namespace {

const std::string devices = "bus/pci/devices/";
constexpr long long most_functions = 65'535; // the capability has 16 bits
constexpr std::size_t longest_interface = 15;
constexpr std::string_view network_class = "0x02";

tl::unexpected<error> corrupt(const sysfs_reader& sys, const std::string& file, const char* why) {
  return fail(errc::corrupt, sys.path(file) + ": " + why);
}

/// A number from 0 to @p most. @return nothing when there is no such file, or it says -1
result<std::optional<unsigned>>
small_number(const sysfs_reader& sys, const std::string& file, long long most) {
  auto read = sys.number(file);
  if (!read)
    return tl::unexpected(read.error());
  if (!*read || **read == -1)
    return std::optional<unsigned>{};
  if (**read < 0 || **read > most)
    return corrupt(sys, file, "out of range");
  return std::optional{static_cast<unsigned>(**read)};
}

result<std::optional<unsigned>> iommu_group(const sysfs_reader& sys, const std::string& of) {
  auto name = sys.link(of + "/iommu_group");
  if (!name)
    return tl::unexpected(name.error());
  if (!*name)
    return std::optional<unsigned>{};
  const auto digits = (*name)->find_first_not_of("0123456789") == std::string::npos;
  if (!digits || (*name)->empty() || (*name)->size() > 9)
    return corrupt(sys, of + "/iommu_group", "leads to no group");
  return std::optional{static_cast<unsigned>(std::stoul(**name))};
}

/// An attribute that may be missing, empty then.
result<std::string> text_or_empty(const sysfs_reader& sys, const std::string& file) {
  return sys.text(file).map([](auto&& text) { return text.value_or(""); });
}

result<std::string> driver_of(const sysfs_reader& sys, const std::string& device) {
  return sys.link(device + "/driver").map([](auto&& name) { return name.value_or(""); });
}

/// Whether an interface of a physical function is a port of the card, and not one that stands for a
/// virtual function there (`pf0vf1`, in switchdev mode).
bool is_port(const sysfs_reader& sys, const std::string& interface) {
  const auto port = sys.text(interface + "/phys_port_name");
  return !port || !*port || (*port)->find("vf") == std::string::npos;
}

/// Its interfaces, the first port of the card first.
result<std::vector<std::string>> interfaces_of(const sysfs_reader& sys, const std::string& device) {
  auto names = sys.names(device + "/net");
  if (!names)
    return names;
  std::vector<std::pair<unsigned, std::string>> ports;
  for (const auto& name : *names) {
    const auto at = fmt::format("{}/net/{}", device, name);
    if (name.empty() || name.size() > longest_interface)
      return corrupt(sys, at, "is no interface's name");
    if (!is_port(sys, at))
      continue;
    const auto number = sys.number(at + "/dev_port");
    ports.emplace_back(number && *number ? static_cast<unsigned>(**number) : 0, name);
  }
  std::sort(ports.begin(), ports.end());
  std::vector<std::string> out;
  out.reserve(ports.size());
  for (auto& p : ports)
    out.push_back(std::move(p.second));
  return out;
}

result<std::vector<group_member>>
group_of(const sysfs_reader& sys, unsigned group, const pci_address& but) {
  const auto directory = "kernel/iommu_groups/" + std::to_string(group) + "/devices";
  auto names = sys.names(directory);
  if (!names)
    return tl::unexpected(names.error());
  std::vector<group_member> out;
  for (const auto& name : *names) {
    const auto address = parse_pci_address(name);
    if (!address)
      return corrupt(sys, fmt::format("{}/{}", directory, name), "is no PCI address");
    if (*address == but)
      continue;
    auto driver = driver_of(sys, devices + name);
    if (!driver)
      return tl::unexpected(driver.error());
    out.push_back({*address, std::move(*driver)});
  }
  return out;
}

/// What programs open to have it: its group, or (iommufd) itself.
result<std::vector<std::string>> vfio_files(const sysfs_reader& sys, const virtual_function& of) {
  std::vector<std::string> out;
  if (of.iommu_group) {
    const auto group = std::to_string(*of.iommu_group);
    out = {"/dev/vfio/" + group, "/dev/vfio/noiommu-" + group};
  }
  auto own = sys.names(devices + to_string(*of.address) + "/vfio-dev");
  if (!own)
    return own;
  for (const auto& name : *own)
    out.push_back("/dev/vfio/devices/" + name);
  return out;
}

result<virtual_function>
read_function(const sysfs_reader& sys, const std::string& parent, unsigned index) {
  virtual_function out;
  out.index = index;
  const auto link = parent + "/virtfn" + std::to_string(index);
  auto name = sys.link(link);
  if (!name)
    return tl::unexpected(name.error());
  if (!*name)
    return corrupt(sys, link, "is missing, though sriov_numvfs counts it");
  out.address = parse_pci_address(**name);
  if (!out.address)
    return corrupt(sys, link, "leads to no PCI address");
  const auto device = devices + **name;
  auto driver = driver_of(sys, device);
  auto override_by = text_or_empty(sys, device + "/driver_override");
  auto interfaces = interfaces_of(sys, device);
  auto group = iommu_group(sys, device);
  for (const auto* wrong :
       {driver ? nullptr : &driver.error(), override_by ? nullptr : &override_by.error(),
        interfaces ? nullptr : &interfaces.error(), group ? nullptr : &group.error()})
    if (wrong != nullptr)
      return tl::unexpected(*wrong);
  out.driver = std::move(*driver);
  out.driver_override = *override_by == "(null)" ? "" : std::move(*override_by);
  out.interfaces = std::move(*interfaces);
  out.iommu_group = *group;
  if (out.iommu_group) {
    auto others = group_of(sys, *out.iommu_group, *out.address);
    if (!others)
      return tl::unexpected(others.error());
    out.group = std::move(*others);
  }
  auto files = vfio_files(sys, out);
  if (!files)
    return tl::unexpected(files.error());
  out.files = std::move(*files);
  return out;
}

/// The numbers of a physical function. @p most is filled.
result<void>
read_numbers(const sysfs_reader& sys, const std::string& device, physical_function& out) {
  auto read = [&](const char* name, long long most) {
    return small_number(sys, device + name, most);
  };
  const auto count = read("/sriov_numvfs", most_functions);
  const auto autoprobe = read("/sriov_drivers_autoprobe", 1);
  const auto offset = read("/sriov_offset", most_functions);
  const auto stride = read("/sriov_stride", most_functions);
  const auto numa = read("/numa_node", 1'048'575);
  const auto vendor = read("/vendor", 0xffff);
  const auto model = read("/device", 0xffff);
  for (const auto* one : {&count, &autoprobe, &offset, &stride, &numa, &vendor, &model})
    if (!*one)
      return tl::unexpected(one->error());
  out.count = count->value_or(0);
  if (out.count > out.most)
    return corrupt(sys, device + "/sriov_numvfs", "is more than sriov_totalvfs");
  if (*autoprobe)
    out.autoprobe = **autoprobe == 1;
  out.offset = *offset;
  out.stride = *stride;
  out.numa_node = *numa;
  out.vendor = static_cast<std::uint16_t>(vendor->value_or(0));
  out.device = static_cast<std::uint16_t>(model->value_or(0));
  return {};
}

/// @return nothing when it is no network card with SR-IOV
result<std::optional<physical_function>> read_device(const sysfs_reader& sys,
                                                     const std::string& name) {
  const auto device = devices + name;
  physical_function out;
  const auto most = small_number(sys, device + "/sriov_totalvfs", most_functions);
  const auto kind = text_or_empty(sys, device + "/class");
  if (!most || !kind)
    return tl::unexpected(most ? kind.error() : most.error());
  if (most->value_or(0) == 0 || !kind->starts_with(network_class))
    return std::optional<physical_function>{};
  out.most = **most;
  const auto address = parse_pci_address(name);
  if (!address)
    return corrupt(sys, device, "is no PCI address");
  out.address = *address;
  if (auto done = read_numbers(sys, device, out); !done)
    return tl::unexpected(done.error());
  auto driver = driver_of(sys, device);
  auto interfaces = interfaces_of(sys, device);
  auto group = iommu_group(sys, device);
  if (!driver || !interfaces || !group)
    return tl::unexpected(!driver ? driver.error()
                                  : (interfaces ? group.error() : interfaces.error()));
  out.driver = std::move(*driver);
  out.interfaces = std::move(*interfaces);
  out.iommu_group = *group;
  for (unsigned i = 0; i < out.count; ++i) {
    auto function = read_function(sys, device, i);
    if (!function)
      return tl::unexpected(function.error());
    out.functions.push_back(std::move(*function));
  }
  return std::optional{std::move(out)};
}

/// @return nothing when it has gone meanwhile, or is no interface: bonding has a file there
result<std::optional<network_interface>> read_interface(const sysfs_reader& sys,
                                                        const std::string& name) {
  const auto at = "class/net/" + name;
  const auto index = small_number(sys, at + "/ifindex", 0x7fff'ffff);
  const auto flags = small_number(sys, at + "/flags", 0xffff'ffffLL);
  auto names = sys.names(at);
  if (!index || !flags || !names)
    return tl::unexpected(!index ? index.error() : (flags ? names.error() : flags.error()));
  if (!*index)
    return std::optional<network_interface>{};
  network_interface out;
  out.name = name;
  out.index = static_cast<int>(**index);
  out.up = (flags->value_or(0) & 1U) != 0; // IFF_UP
  for (const auto& entry : *names) {
    if (entry.starts_with("upper_"))
      out.upper.push_back(entry.substr(6));
    else if (entry.starts_with("lower_"))
      out.lower.push_back(entry.substr(6));
  }
  return std::optional{std::move(out)};
}

} // namespace

const physical_function* inventory::find(std::string_view name) const {
  const auto address = parse_pci_address(name);
  auto found = std::find_if(functions.begin(), functions.end(), [&](const auto& f) {
    return f.address == address
           || std::find(f.interfaces.begin(), f.interfaces.end(), name) != f.interfaces.end();
  });
  return found == functions.end() ? nullptr : &*found;
}

const network_interface* inventory::interface(std::string_view name) const {
  auto found = std::find_if(interfaces.begin(), interfaces.end(),
                            [&](const auto& i) { return i.name == name; });
  return found == interfaces.end() ? nullptr : &*found;
}

namespace {

/// Whether interfaces were renamed while it was read, as udev does with new ones.
bool is_torn(const inventory& of) {
  return std::any_of(of.functions.begin(), of.functions.end(), [&](const auto& parent) {
    return std::any_of(parent.functions.begin(), parent.functions.end(), [&](const auto& f) {
      return std::any_of(f.interfaces.begin(), f.interfaces.end(),
                         [&](const auto& name) { return of.interface(name) == nullptr; });
    });
  });
}

result<inventory> read_once(const sysfs_reader& sys) {
  inventory out;
  auto cards = sys.names("bus/pci/devices");
  auto names = sys.names("class/net");
  if (!cards || !names)
    return tl::unexpected(cards ? names.error() : cards.error());
  for (const auto& name : *cards) {
    auto function = read_device(sys, name);
    if (!function)
      return tl::unexpected(function.error());
    if (*function)
      out.functions.push_back(std::move(**function));
  }
  for (const auto& name : *names) {
    auto interface = read_interface(sys, name);
    if (!interface)
      return tl::unexpected(interface.error());
    if (*interface)
      out.interfaces.push_back(std::move(**interface));
  }
  out.vfio_pci = sys.exists("bus/pci/drivers/vfio-pci");
  auto unsafe = text_or_empty(sys, "module/vfio/parameters/enable_unsafe_noiommu_mode");
  if (!unsafe)
    return tl::unexpected(unsafe.error());
  out.unsafe_without_iommu = *unsafe == "Y";
  return out;
}

} // namespace

result<inventory> read_inventory(const sysfs_reader& sys) {
  constexpr int most_tries = 3;
  auto out = read_once(sys);
  for (int tries = 1; out && is_torn(*out) && tries < most_tries; ++tries)
    out = read_once(sys);
  return out;
}

physical_function expect_functions(const physical_function& of, unsigned count, bool probed) {
  auto out = of;
  out.count = count;
  out.functions.clear();
  for (unsigned i = 0; i < count; ++i) {
    virtual_function function;
    function.index = i;
    function.expected = true;
    if (of.offset && of.stride) // PCI Express, 9.3.3.9 and 9.3.3.10: first offset and stride
      function.address =
        pci_address{of.address.domain, static_cast<std::uint16_t>(of.address.routing_id + *of.offset
                                                                  + i * *of.stride)};
    if (probed)
      function.driver = unknown_driver;
    out.functions.push_back(std::move(function));
  }
  return out;
}

} // namespace marchproxy::sriov

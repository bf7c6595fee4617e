// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/plan.hpp"

#include "dpdk/sriov/in_use.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace marchproxy::sriov {

namespace {

const std::string devices = "bus/pci/devices/";
const std::string drivers = "bus/pci/drivers/";
const std::string vfio = "vfio-pci";
const std::string no_override = "\n"; // a write of nothing would not reach the kernel's function

using steps = std::vector<step>;

struct as_text {
  std::string operator()(const sysfs_write& w) const {
    return w.text == no_override ? "write an empty line to " + w.file
                                 : "write " + w.text + " to " + w.file;
  }
  std::string operator()(const vf_change& c) const {
    return "set dev " + c.interface + " vf " + std::to_string(c.vf) + " " + to_string(c.to);
  }
};

std::string address_of(const virtual_function& function) {
  return function.address ? to_string(*function.address) : "(its address)";
}

std::string file_of(const virtual_function& function, const char* name) {
  return devices + address_of(function) + "/" + name;
}

std::string title(const physical_function& parent, const virtual_function& function) {
  const auto& name =
    parent.interfaces.empty() ? to_string(parent.address) : parent.interfaces.front();
  return name + "/vf" + std::to_string(function.index);
}

result<const physical_function*> find_parent(const inventory& has, const std::string& name) {
  if (const auto* found = has.find(name))
    return found;
  std::string there;
  for (const auto& f : has.functions)
    there += (there.empty() ? "" : ", ") + title(f);
  return fail(errc::not_found, there.empty()
                                 ? "device: this machine has no network card with SR-IOV"
                                 : "device: no network card with SR-IOV is called '" + name
                                     + "'; there are " + there);
}

/// Sends settings of one virtual function.
struct vf_changes {
  const inventory& has;
  const physical_function& parent;
  unsigned vf;

  [[nodiscard]] vf_change operator()(const vf_setting& to) const {
    const auto& name = parent.interfaces.front();
    const auto* interface = has.interface(name);
    return {name, interface == nullptr ? 0 : interface->index, vf, to};
  }
};

/// What makes a function anew what @p function was. Once made, the kernel's drivers have it, or
/// none.
void restore(const vf_changes& set, const virtual_function& function, std::vector<action>& out) {
  if (const auto& s = function.settings) {
    if (s->mac && *s->mac != mac_address{})
      out.emplace_back(set(*s->mac));
    if (s->vlan && s->vlan->id != 0)
      out.emplace_back(set(*s->vlan));
    if (s->spoof_check)
      out.emplace_back(set(spoof_check_value{*s->spoof_check}));
    if (s->trust)
      out.emplace_back(set(trust_value{*s->trust}));
    if (s->state && *s->state != link_state::automatic)
      out.emplace_back(set(*s->state));
  }
  if (!function.driver_override.empty())
    out.emplace_back(sysfs_write{file_of(function, "driver_override"), function.driver_override});
  if (function.driver.empty())
    out.emplace_back(sysfs_write{file_of(function, "driver/unbind"), address_of(function)});
  if (function.driver != vfio)
    return;
  out.emplace_back(sysfs_write{file_of(function, "driver/unbind"), address_of(function)});
  out.emplace_back(sysfs_write{drivers + vfio + "/bind", address_of(function)});
}

bool all_for_vfio(const wanted_state& wanted) {
  return std::all_of(wanted.functions.begin(), wanted.functions.end(),
                     [](const auto& f) { return f.driver == driver_choice::vfio_pci; });
}

/// Whether the kernel's drivers shall be kept away from new functions.
bool keeps_away(const physical_function& parent, const wanted_state& wanted) {
  return parent.autoprobe == true && !wanted.functions.empty() && all_for_vfio(wanted);
}

steps count_steps(const inventory& has,
                  const physical_function& parent,
                  const wanted_state& wanted) {
  const auto device = devices + to_string(parent.address);
  const auto number = device + "/sriov_numvfs";
  const auto probe = device + "/sriov_drivers_autoprobe";
  steps out;
  if (parent.count != 0) {
    step none{"remove the virtual functions of " + title(parent), sysfs_write{number, "0"}, {}};
    none.back.emplace_back(sysfs_write{number, std::to_string(parent.count)});
    for (const auto& f : parent.functions)
      restore({has, parent, f.index}, f, none.back);
    out.push_back(std::move(none));
  }
  if (wanted.functions.empty())
    return out;
  const bool away = keeps_away(parent, wanted);
  if (away)
    out.push_back({"keep the kernel's drivers away from new ones",
                   sysfs_write{probe, "0"},
                   {sysfs_write{probe, "1"}}});
  out.push_back(
    {"make " + std::to_string(wanted.functions.size()) + " virtual functions of " + title(parent),
     sysfs_write{number, std::to_string(wanted.functions.size())},
     {sysfs_write{number, "0"}}});
  if (away)
    out.push_back({"let the kernel's drivers have later ones", sysfs_write{probe, "1"}, {}});
  return out;
}

/// Adds the step for one setting, when it is wanted and not as wanted.
template <class T, class As>
void change(const vf_changes& set,
            const std::string& about,
            const std::optional<T>& wanted,
            const std::optional<T>& is,
            As as,
            steps& out) {
  if (!wanted || wanted == is)
    return;
  step one{about, set(as(*wanted)), {}, !is};
  if (is)
    one.back.emplace_back(set(as(*is)));
  out.push_back(std::move(one));
}

steps setting_steps(const vf_changes& set,
                    const virtual_function& function,
                    const vf_settings& to) {
  const auto is = function.settings.value_or(vf_settings{});
  const auto about = "configure " + title(set.parent, function);
  steps out;
  change(
    set, about, to.mac, is.mac, [](auto v) -> vf_setting { return v; }, out);
  change(
    set, about, to.vlan, is.vlan, [](auto v) -> vf_setting { return v; }, out);
  change(
    set, about, to.spoof_check, is.spoof_check,
    [](bool v) -> vf_setting { return spoof_check_value{v}; }, out);
  change(
    set, about, to.trust, is.trust, [](bool v) -> vf_setting { return trust_value{v}; }, out);
  change(
    set, about, to.state, is.state, [](auto v) -> vf_setting { return v; }, out);
  return out;
}

bool is_as_wanted(const virtual_function& function, std::optional<driver_choice> wanted) {
  if (!wanted)
    return true;
  if (*wanted == driver_choice::vfio_pci)
    return function.driver == vfio;
  return !function.driver.empty() && function.driver != vfio;
}

/// Why it cannot be handed to the kernel's drivers.
std::optional<std::string> why_not_kernel(const physical_function& parent,
                                          const virtual_function& function) {
  if (parent.autoprobe == false)
    return "sriov_drivers_autoprobe is 0: no driver of the kernel takes it";
  if (!function.driver_override.empty() && function.driver_override != vfio)
    return "its driver_override is " + function.driver_override + ", which is not of our making";
  return std::nullopt;
}

step unbind(const std::string& about, const virtual_function& function) {
  return {"take " + about + " from its driver",
          sysfs_write{file_of(function, "driver/unbind"), address_of(function)},
          {sysfs_write{drivers + function.driver + "/bind", address_of(function)}}};
}

step override_by(const std::string& about,
                 const virtual_function& function,
                 const std::string& to) {
  const auto& was = function.driver_override;
  const auto file = file_of(function, "driver_override");
  return {to == no_override ? "leave " + about + " to any driver" : "keep " + about + " for " + to,
          sysfs_write{file, to},
          {sysfs_write{file, was.empty() ? no_override : was}}};
}

step bind(const std::string& about, const virtual_function& function, driver_choice to) {
  const auto address = address_of(function);
  if (to == driver_choice::vfio_pci)
    return {"give " + about + " to vfio-pci",
            sysfs_write{drivers + vfio + "/bind", address},
            {sysfs_write{drivers + vfio + "/unbind", address}}};
  return {"give " + about + " to the kernel's driver",
          sysfs_write{"bus/pci/drivers_probe", address},
          {sysfs_write{file_of(function, "driver/unbind"), address}}};
}

/// The steps of one function: off its driver, settings, on to the other. A driver reads the
/// settings when it begins.
steps function_steps(const vf_changes& set,
                     const virtual_function& function,
                     const wanted_function& wanted) {
  auto settings = setting_steps(set, function, wanted.settings);
  if (is_as_wanted(function, wanted.driver))
    return settings;
  const auto about = title(set.parent, function);
  steps out;
  if (!function.driver.empty())
    out.push_back(unbind(about, function));
  std::move(settings.begin(), settings.end(), std::back_inserter(out));
  if (*wanted.driver == driver_choice::vfio_pci && function.driver_override != vfio)
    out.push_back(override_by(about, function, vfio));
  if (*wanted.driver == driver_choice::kernel && !function.driver_override.empty())
    out.push_back(override_by(about, function, no_override));
  out.push_back(bind(about, function, *wanted.driver));
  return out;
}

void object_to_function(const inventory& has,
                        const physical_function& parent,
                        const virtual_function& function,
                        const wanted_state& wanted,
                        const machine_use& use,
                        objections& out) {
  const auto about = title(parent, function);
  const auto& to = wanted.functions[function.index].driver;
  if (auto why = why_in_use(has, function, use))
    out.add(about, *why);
  if (is_as_wanted(function, to))
    return;
  auto why = *to == driver_choice::vfio_pci ? why_not_vfio(has, parent, function, wanted)
                                            : why_not_kernel(parent, function);
  if (why)
    out.add(about, *why);
}

result<steps> steps_of_all(const inventory& has,
                           const physical_function& parent,
                           const wanted_state& wanted,
                           const machine_use& use) {
  objections against;
  steps out;
  for (const auto& function : parent.functions) {
    auto more =
      function_steps({has, parent, function.index}, function, wanted.functions[function.index]);
    if (more.empty())
      continue;
    object_to_function(has, parent, function, wanted, use, against);
    std::move(more.begin(), more.end(), std::back_inserter(out));
  }
  if (!out.empty() && !parent.reachable)
    against.add(title(parent), "netlink does not know its interface in this network namespace");
  if (against.any())
    return tl::unexpected(against.as_error());
  return out;
}

} // namespace

std::string to_string(const action& of) {
  return std::visit(as_text{}, of);
}

result<steps> plan_count(const inventory& has, const wanted_state& wanted, const machine_use& use) {
  const auto parent = find_parent(has, wanted.device);
  if (!parent)
    return tl::unexpected(parent.error());
  const auto& of = **parent;
  if (of.count == wanted.functions.size())
    return steps{};
  objections against;
  if (wanted.functions.size() > of.most)
    against.add("count", title(of) + " can have " + std::to_string(of.most) + " at most");
  object_to_count(of, use, against);
  for (const auto& f : of.functions)
    if (auto why = why_in_use(has, f, use))
      against.add(title(of, f), *why + "; a change of the number removes it");
  if (against.any())
    return tl::unexpected(against.as_error());
  return count_steps(has, of, wanted);
}

result<steps>
plan_functions(const inventory& has, const wanted_state& wanted, const machine_use& use) {
  const auto parent = find_parent(has, wanted.device);
  if (!parent)
    return tl::unexpected(parent.error());
  if ((*parent)->functions.size() != wanted.functions.size())
    return fail(errc::conflict, title(**parent) + " has " + std::to_string((*parent)->count)
                                  + " virtual functions instead of "
                                  + std::to_string(wanted.functions.size()));
  return steps_of_all(has, **parent, wanted, use);
}

result<steps> plan(const inventory& has, const wanted_state& wanted, const machine_use& use) {
  auto out = plan_count(has, wanted, use);
  if (!out)
    return out;
  const auto& parent = **find_parent(has, wanted.device);
  const auto after = out->empty()
                       ? parent
                       : expect_functions(parent, static_cast<unsigned>(wanted.functions.size()),
                                          parent.autoprobe != false && !keeps_away(parent, wanted));
  auto more = steps_of_all(has, after, wanted, use);
  if (!more)
    return more;
  std::move(more->begin(), more->end(), std::back_inserter(*out));
  return out;
}

} // namespace marchproxy::sriov

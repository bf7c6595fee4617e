// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/worker_device.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace marchproxy::sriov {

namespace {

/// vfio and uio hand a device over whole; Mellanox cards are used beside their kernel driver.
/// Source: DPDK's Linux guide, "Linux Drivers".
constexpr std::array<std::string_view, 4> usable{"vfio-pci", "igb_uio", "mlx5_core", "mlx4_core"};

} // namespace

std::optional<function_name> parse_function_name(std::string_view text) {
  constexpr std::string_view mark = "/vf";
  const auto at = text.rfind(mark);
  if (at == std::string_view::npos || at == 0)
    return std::nullopt;
  const auto parent = text.substr(0, at);
  const auto digits = text.substr(at + mark.size());
  function_name out{std::string{parent}, 0};
  const auto [end, wrong] =
    std::from_chars(digits.data(), digits.data() + digits.size(), out.index);
  if (wrong != std::errc{} || end != digits.data() + digits.size()
      || parent.find_first_of("/ ") != std::string_view::npos)
    return std::nullopt;
  return out;
}

std::optional<std::string> why_not_for_worker(const virtual_function& function) {
  if (std::find(usable.begin(), usable.end(), function.driver) != usable.end())
    return std::nullopt;
  return function.driver.empty()
           ? "no driver has it, and DPDK needs vfio-pci"
           : "the driver " + function.driver + " has it, and DPDK needs vfio-pci";
}

result<std::string> worker_device(const inventory& has, const function_name& name) {
  const auto text = name.parent + "/vf" + std::to_string(name.index);
  const auto* parent = has.find(name.parent);
  if (parent == nullptr)
    return fail(errc::not_found, text + ": "
                                   + (has.functions.empty()
                                        ? "this machine has no network card with SR-IOV"
                                        : "no network card with SR-IOV is called " + name.parent));
  if (name.index >= parent->functions.size())
    return fail(errc::not_found, text + ": " + name.parent + " has " + std::to_string(parent->count)
                                   + " virtual functions; marchproxy sriov apply makes them");
  const auto& function = parent->functions[name.index];
  if (auto why = why_not_for_worker(function))
    return fail(errc::conflict, text + ": " + *why + "; marchproxy sriov apply binds it");
  return to_string(*function.address);
}

} // namespace marchproxy::sriov

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/virtual_functions.hpp"

#include "dpdk/sriov/report.hpp"
#include "dpdk/sriov/worker_device.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

namespace marchproxy::egress {

namespace {

using nlohmann::json;

const std::string sysfs_here = "/sys";

bool is_function(const dpdk_port& port) {
  return !port.is_virtual && sriov::parse_function_name(port.device).has_value();
}

result<void> refuse_twins(const std::vector<dpdk_port>& ports) {
  for (auto port = ports.begin(); port != ports.end(); ++port)
    if (std::any_of(ports.begin(), port, [&](const auto& p) { return p.device == port->device; }))
      return fail(errc::conflict, "DPDK_PORTS: " + port->device + " is named twice");
  return {};
}

/// The interface by which the kernel sees a function that the worker has; null when it has it not.
json port_of(const sriov::physical_function& parent,
             const sriov::virtual_function& function,
             const std::vector<dpdk_port>& worker) {
  auto means = [&](const dpdk_port& port) {
    if (const auto name = sriov::parse_function_name(port.device))
      return name->index == function.index
             && (sriov::parse_pci_address(name->parent) == parent.address
                 || std::find(parent.interfaces.begin(), parent.interfaces.end(), name->parent)
                      != parent.interfaces.end());
    const auto address = sriov::parse_pci_address(port.device);
    return address && address == function.address;
  };
  const auto found = std::find_if(worker.begin(), worker.end(), means);
  return found == worker.end() ? json(nullptr) : json(found->stand_in);
}

json cards_of(const sriov::inventory& has, const std::vector<dpdk_port>& worker) {
  auto out = sriov::to_json(has);
  for (std::size_t i = 0; i < has.functions.size(); ++i)
    for (std::size_t j = 0; j < has.functions[i].functions.size(); ++j)
      out[i]["functions"][j]["port"] =
        port_of(has.functions[i], has.functions[i].functions[j], worker);
  return out;
}

bool any_port(const json& cards) {
  return std::any_of(cards.begin(), cards.end(), [](const json& card) {
    const auto& functions = card.at("functions");
    return std::any_of(functions.begin(), functions.end(),
                       [](const json& f) { return !f.at("port").is_null(); });
  });
}

} // namespace

result<std::vector<dpdk_port>> with_addresses(std::vector<dpdk_port> ports,
                                              const std::string& sysfs) {
  if (std::none_of(ports.begin(), ports.end(), is_function))
    return ports;
  const auto has = sriov::read_inventory(sriov::sysfs_reader{sysfs});
  if (!has)
    return tl::unexpected(has.error());
  for (auto& port : ports) {
    if (!is_function(port))
      continue;
    auto address = sriov::worker_device(*has, *sriov::parse_function_name(port.device));
    if (!address)
      return fail(address.error().code, "DPDK_PORTS: " + address.error().message);
    port.device = std::move(*address);
  }
  if (auto ok = refuse_twins(ports); !ok)
    return tl::unexpected(ok.error());
  return ports;
}

void add_sriov(json& answer, const std::vector<dpdk_port>& worker, const std::string& sysfs) {
  const auto has = sriov::read_inventory(sriov::sysfs_reader{sysfs});
  auto cards = has ? cards_of(*has, worker) : json::array();
  auto unused = has ? sriov::why_unused(*has) : has.error().message;
  if (unused.empty() && !any_port(cards))
    unused = "the packet worker has no virtual function; DPDK_PORTS names them, such as eth1/vf0";
  answer["sriov"] = std::move(cards);
  if (!unused.empty())
    answer["declined"].push_back({{"name", "sriov"}, {"reason", unused}});
}

void add_sriov_view(serving::admin_extras& to, const std::vector<dpdk_port>& worker) {
  to.tiers = [before = to.tiers, worker](json& answer) {
    if (before)
      before(answer);
    add_sriov(answer, worker, sysfs_here);
  };
}

} // namespace marchproxy::egress

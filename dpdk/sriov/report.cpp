// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/report.hpp"

#include "dpdk/sriov/in_use.hpp"
#include "dpdk/sriov/worker_device.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace marchproxy::sriov {

namespace {

using nlohmann::json;

json or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(text);
}

template <class T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

json settings_of(const virtual_function& of) {
  const auto s = of.settings.value_or(vf_settings{});
  json out = {{"mac", s.mac ? json(to_string(*s.mac)) : json(nullptr)},
              {"vlan", nullptr},
              {"priority", nullptr},
              {"spoof_check", or_null(s.spoof_check)},
              {"trust", or_null(s.trust)},
              {"link_state", s.state ? json(to_string(*s.state)) : json(nullptr)}};
  if (s.vlan) {
    out["vlan"] = s.vlan->id;
    out["priority"] = s.vlan->priority;
  }
  return out;
}

json function_of(const virtual_function& of) {
  json out = settings_of(of);
  out["index"] = of.index;
  out["address"] = of.address ? json(to_string(*of.address)) : json(nullptr);
  out["driver"] = or_null(of.driver);
  out["interfaces"] = of.interfaces;
  out["iommu_group"] = or_null(of.iommu_group);
  out["for_worker"] = !why_not_for_worker(of);
  return out;
}

} // namespace

std::string why_unused(const inventory& has) {
  if (has.functions.empty())
    return "no network card of this machine has SR-IOV";
  const auto any = std::any_of(has.functions.begin(), has.functions.end(),
                               [](const auto& f) { return f.count != 0; });
  return any ? "" : "no virtual functions have been made; marchproxy sriov apply makes them";
}

json to_json(const inventory& has) {
  json out = json::array();
  for (const auto& f : has.functions) {
    json functions = json::array();
    for (const auto& v : f.functions)
      functions.push_back(function_of(v));
    out.push_back({{"address", to_string(f.address)},
                   {"interfaces", f.interfaces},
                   {"driver", or_null(f.driver)},
                   {"vendor", fmt::format("{:04x}", f.vendor)},
                   {"device", fmt::format("{:04x}", f.device)},
                   {"numa_node", or_null(f.numa_node)},
                   {"iommu_group", or_null(f.iommu_group)},
                   {"most", f.most},
                   {"count", f.count},
                   {"functions", std::move(functions)}});
  }
  return out;
}

json to_json(const inventory& has, const machine_use& use) {
  auto out = to_json(has);
  for (std::size_t i = 0; i < has.functions.size(); ++i) {
    const auto& parent = has.functions[i];
    out[i]["management"] = nullptr;
    for (const auto& name : parent.interfaces)
      if (auto found = use.management.find(name); found != use.management.end())
        out[i]["management"] = found->second;
    for (std::size_t j = 0; j < parent.functions.size(); ++j)
      out[i]["functions"][j]["in_use"] = or_null(why_in_use(has, parent.functions[j], use));
  }
  return out;
}

json to_json(std::span<const step> steps) {
  json out = json::array();
  for (const auto& s : steps) {
    json back = json::array();
    for (const auto& a : s.back)
      back.push_back(to_string(a));
    out.push_back({{"what", s.what}, {"does", to_string(s.does)}, {"back", std::move(back)}});
  }
  return out;
}

} // namespace marchproxy::sriov

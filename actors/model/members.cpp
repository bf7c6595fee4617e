// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/model.hpp"

#include <algorithm>

namespace marchproxy::model {

bool is_single_host(const service_address& address) noexcept {
  if (const auto* prefix = std::get_if<ip_prefix>(&address))
    return prefix->length == prefix->base.width();
  return !std::get<dns_name>(address).wildcard;
}

std::optional<std::uint16_t> only_port(const port_set& ports) noexcept {
  const auto& ranges = ports.ranges();
  if (ranges.size() != 1 || ranges.front().first != ranges.front().last)
    return std::nullopt;
  return ranges.front().first;
}

std::vector<const service*> members(const ruleset& rules, const selector& which) {
  std::vector<const service*> out;
  if (const auto* id = std::get_if<service_id>(&which)) {
    const auto found =
      std::lower_bound(rules.services.begin(), rules.services.end(), *id,
                       [](const service& s, service_id wanted) { return s.id < wanted; });
    if (found != rules.services.end() && found->id == *id && found->active)
      out.push_back(&*found);
  } else if (const auto* collection = std::get_if<select_collection>(&which)) {
    for (const auto& one : rules.services)
      if (one.active && one.collection == collection->name)
        out.push_back(&one);
  }
  return out;
}

} // namespace marchproxy::model

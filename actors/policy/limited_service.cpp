// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/limited_service.hpp"

namespace marchproxy::policy {

namespace {

/// The larger, the closer; 0: not there at all.
std::size_t closeness(const model::service_address& address, const flow& f) {
  constexpr std::size_t wildcard = 1'000;
  constexpr std::size_t exact = 2'000;
  if (const auto* prefix = std::get_if<ip_prefix>(&address))
    return f.destination && prefix->contains(*f.destination) ? 1U + prefix->length : 0U;
  const auto& name = std::get<model::dns_name>(address);
  if (!name.wildcard)
    return name.name == f.name ? exact : 0;
  const auto below = f.name.size() > name.name.size() + 1 && f.name.ends_with(name.name)
                     && f.name[f.name.size() - name.name.size() - 1] == '.';
  return below ? wildcard + name.name.size() : 0;
}

} // namespace

const model::service* limited_service(const model::ruleset& rules, const flow& f) {
  const model::service* out = nullptr;
  std::size_t closest = 0;
  for (const auto& s : rules.services) {
    if (!s.active || !s.limits || !s.ports.allows(f.port)
        || (s.protocols != model::any_protocol && !model::has(s.protocols, f.protocol)))
      continue;
    if (const auto here = closeness(s.address, f); here > closest) {
      closest = here;
      out = &s;
    }
  }
  return out;
}

} // namespace marchproxy::policy

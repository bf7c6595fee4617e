// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/limiting/limit_table.hpp"

#include <algorithm>
#include <iterator>

namespace marchproxy::limiting {

std::shared_ptr<meter>
meters::of(subject whose, const model::limits& limits, clock::time_point now) {
  std::lock_guard lock{lock_};
  for (auto each = known_.begin(); each != known_.end();) {
    std::erase_if(each->second, [](const auto& m) { return m.expired(); });
    each = each->second.empty() ? known_.erase(each) : std::next(each);
  }
  auto& its = known_[whose];
  for (const auto& one : its)
    if (auto m = one.lock(); m && m->limits() == limits)
      return m;
  auto made = std::make_shared<meter>(whose, limits, now);
  its.push_back(made);
  return made;
}

std::shared_ptr<const limit_table>
limit_table::build(const model::ruleset& rules, meters& known, clock::time_point now) {
  std::shared_ptr<limit_table> out{new limit_table};
  const auto meter_of = [&](subject whose, const model::limits& limits) {
    out->all_.push_back(known.of(whose, limits, now));
    return out->all_.back();
  };
  for (const auto& m : rules.mappings)
    if (m.active && m.limits)
      out->mappings_[m.id] = meter_of({subject::kind::mapping, m.id.value}, *m.limits);
  for (const auto& s : rules.services)
    if (s.active && s.limits)
      out->place_of(s.address).push_back(
        {meter_of({subject::kind::service, s.id.value}, *s.limits), s.protocols, s.ports});
  return out;
}

limit_table::entries& limit_table::place_of(const model::service_address& address) {
  if (const auto* name = std::get_if<model::dns_name>(&address))
    return (name->wildcard ? wildcards_ : exact_)[name->name];
  const auto& prefix = std::get<ip_prefix>(address);
  auto at = std::find_if(levels_.begin(), levels_.end(), [&](const level& l) {
    return l.length < prefix.length
           || (l.length == prefix.length && l.family == prefix.base.family);
  });
  if (at == levels_.end() || at->length != prefix.length)
    at = levels_.insert(at, level{prefix.base.family, prefix.length, {}});
  return at->at[prefix.base];
}

const limit_table::entry* limit_table::pick(const entries& from, const flow& f) noexcept {
  const auto found = std::find_if(from.begin(), from.end(), [&](const entry& e) {
    return (e.protocols == model::any_protocol || model::has(e.protocols, f.protocol))
           && e.ports.allows(f.port);
  });
  return found == from.end() ? nullptr : &*found;
}

const limit_table::entry* limit_table::find_by_name(const flow& f) const {
  if (const auto at = exact_.find(f.name); at != exact_.end())
    if (const auto* found = pick(at->second, f))
      return found;
  if (wildcards_.empty())
    return nullptr;
  for (auto dot = f.name.find('.'); dot != std::string_view::npos; dot = f.name.find('.', dot + 1))
    if (const auto at = wildcards_.find(f.name.substr(dot + 1)); at != wildcards_.end())
      if (const auto* found = pick(at->second, f))
        return found;
  return nullptr;
}

const limit_table::entry* limit_table::find_service(const flow& f) const {
  if (!f.name.empty())
    if (const auto* found = find_by_name(f))
      return found;
  if (!f.destination)
    return nullptr;
  for (const auto& l : levels_) {
    if (l.family != f.destination->family)
      continue;
    if (const auto at = l.at.find(make_prefix(*f.destination, l.length).base); at != l.at.end())
      if (const auto* found = pick(at->second, f))
        return found;
  }
  return nullptr;
}

flow_meters limit_table::of(const flow& f) const {
  flow_meters out;
  if (!mappings_.empty())
    if (const auto at = mappings_.find(f.mapping); at != mappings_.end())
      out[0] = at->second;
  if (const auto* to = find_service(f))
    out[1] = to->meter;
  return out;
}

} // namespace marchproxy::limiting

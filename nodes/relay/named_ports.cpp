// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/named_ports.hpp"

#include <map>
#include <string_view>
#include <vector>

namespace marchproxy::relay {

namespace {

using named_services = std::vector<const model::service*>;

bool has_tcp(model::protocol_set protocols) noexcept {
  return protocols == model::any_protocol || model::has(protocols, model::protocol::tcp);
}

bool is_named(const model::service& s) noexcept {
  return s.active && has_tcp(s.protocols) && std::holds_alternative<model::dns_name>(s.address);
}

/// The named ones of each collection, so that a mapping costs what it names and no more.
std::map<std::string_view, named_services> by_collection(const model::ruleset& rules) {
  std::map<std::string_view, named_services> out;
  for (const auto& s : rules.services)
    if (is_named(s) && !s.collection.empty())
      out[s.collection].push_back(&s);
  return out;
}

/// Ports in no order; nothing restricted is one range with all of them.
class port_union {
public:
  void add(const std::vector<model::port_range>& more) {
    ranges_.insert(ranges_.end(), more.begin(), more.end());
  }
  [[nodiscard]] std::optional<model::port_set> merged() && {
    return ranges_.empty() ? std::nullopt : std::optional{model::port_set{std::move(ranges_)}};
  }

private:
  std::vector<model::port_range> ranges_;
};

} // namespace

named_ports::named_ports(const model::ruleset& rules) {
  port_union allowed;
  port_union denied;
  auto collections = by_collection(rules);
  for (const auto& m : rules.mappings) {
    if (!m.active || !has_tcp(m.protocols))
      continue;
    auto& into = m.action == model::mapping_action::deny ? denied : allowed;
    for (const auto& which : m.destinations) {
      named_services named;
      if (const auto* collection = std::get_if<model::select_collection>(&which)) {
        if (auto found = collections.find(collection->name); found != collections.end())
          named = found->second;
      } else {
        named = model::members(rules, which); // one service, or none for `all`
        std::erase_if(named, [](const model::service* s) { return !is_named(*s); });
      }
      for (const auto* s : named)
        into.add(model::intersection(m.ports, s->ports));
    }
  }
  allowed_ = std::move(allowed).merged();
  denied_ = std::move(denied).merged();
}

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/model.hpp"
#include "actors/policy/rule_order.hpp"

#include <optional>
#include <vector>

namespace marchproxy::policy {

/// The services that @p which names; a null pointer stands for `all`.
[[nodiscard]] std::vector<const model::service*> members_or_all(const model::ruleset& rules,
                                                                const model::selector& which);

/// Specificity of the best of @p m's sources that holds @p source, 0 for `all`; nullopt: none does.
[[nodiscard]] std::optional<std::uint8_t>
best_source(const model::ruleset& rules, const model::mapping& m, const ip_address& source);

/// Calls @p use(mapping, source_specificity, destination) for each active mapping that speaks of
/// @p source and each of its destinations, null for `all`; in no order that counts. Linear time.
template <class F>
void for_each_candidate(const model::ruleset& rules, const ip_address& source, F&& use) {
  for (const auto& m : rules.mappings) {
    if (!m.active)
      continue;
    auto specific = best_source(rules, m, source);
    if (!specific)
      continue;
    for (const auto& which : m.destinations)
      for (const auto* to : members_or_all(rules, which))
        use(m, *specific, to);
  }
}

} // namespace marchproxy::policy

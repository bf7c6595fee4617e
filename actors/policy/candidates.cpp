// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/candidates.hpp"

#include <algorithm>

namespace marchproxy::policy {

std::vector<const model::service*> members_or_all(const model::ruleset& rules,
                                                  const model::selector& which) {
  if (std::holds_alternative<model::select_all>(which))
    return {nullptr};
  return model::members(rules, which);
}

std::optional<std::uint8_t>
best_source(const model::ruleset& rules, const model::mapping& m, const ip_address& source) {
  std::optional<std::uint8_t> best;
  for (const auto& which : m.sources)
    for (const auto* s : members_or_all(rules, which)) {
      const auto* prefix = s != nullptr ? std::get_if<ip_prefix>(&s->address) : nullptr;
      if (s == nullptr)
        best = best.value_or(0);
      else if (prefix != nullptr && prefix->contains(source))
        best = std::max(best.value_or(0), specificity(&s->address));
    }
  return best;
}

} // namespace marchproxy::policy

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/rule_flags.hpp"

#include "bpf/abi/rules.h"

namespace marchproxy::policy {

std::uint32_t rule_flags(const model::mapping& m, bool observe_all) noexcept {
  auto flags = static_cast<std::uint32_t>(m.action);
  if (m.auth_required && m.action != model::mapping_action::deny)
    flags |= MP_RULE_AUTH;
  if (m.allow_private)
    flags |= MP_RULE_PRIVATE;
  if (m.observe || observe_all)
    flags |= MP_RULE_OBSERVE;
  if (m.action == model::mapping_action::deny)
    return flags;
  if (m.when_revoked == model::revocation::drain)
    flags |= MP_RULE_DRAIN | m.drain_seconds << MP_RULE_DRAIN_SHIFT;
  if (m.when_revoked == model::revocation::finish)
    flags |= MP_RULE_FINISH;
  return flags;
}

} // namespace marchproxy::policy

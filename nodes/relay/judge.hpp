// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/limiting/admission.hpp"
#include "nodes/relay/decision.hpp"
#include "nodes/relay/snapshot.hpp"
#include "nodes/wire/host.hpp"

namespace marchproxy::relay {

/// Who wants to go where, with what to show for it.
struct question {
  ip_address source;
  std::string_view name; ///< empty: by address
  std::uint16_t port = 0;
  const identity::presented* shown = nullptr; ///< null or an empty secret: nothing was shown
  /// What was proven earlier, for a flow that lives: holds as long as the credential is in force
  /// and of a source of the mapping.
  std::optional<identity::authenticated> proven = {};
  model::protocol protocol = model::protocol::tcp;
};

struct judgement {
  policy::verdict verdict;
  reason why = reason::no_policy;
  std::optional<identity::authenticated> identity = {}; ///< whose credentials held
  std::optional<limiting::refused> limit = {};          ///< what is beyond, where that is why
  bool observed = false; ///< let through although `why` refuses it, since that is observed (POL-8)

  /// Let through.
  [[nodiscard]] bool allowed() const noexcept {
    return observed || why == reason::mapping_allow || why == reason::mapping_bypass;
  }
  /// Refused whatever the name leads to, so it need not be resolved: a mapping says deny by the
  /// name alone, or credentials are missing. An implicit deny is not final: a mapping may allow the
  /// address.
  [[nodiscard]] bool final_for_name() const noexcept {
    return !allowed() && why != reason::implicit_deny;
  }
};

/// By name alone, before it is resolved.
[[nodiscard]] judgement judge_name(const policy_snapshot* snapshot, const question& q);
/// By the address that is to be connected to, and the name when there is one. This is the verdict
/// of the flow.
[[nodiscard]] judgement
judge_address(const policy_snapshot* snapshot, const question& q, const ip_address& address);

/// The meters that a flow is under which @p mapping allows to go to @p address.
[[nodiscard]] limiting::flow_meters meters_of(const policy_snapshot* snapshot,
                                              const question& q,
                                              mapping_id mapping,
                                              const ip_address& address);
/// @p allowed as it is when its limits stand in the way.
[[nodiscard]] judgement beyond(const judgement& allowed, const limiting::refused& limit);

} // namespace marchproxy::relay

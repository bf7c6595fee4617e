// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/event_loop.hpp"
#include "nodes/relay/decision.hpp"

#include <functional>
#include <memory>
#include <utility>

namespace marchproxy::relay {

/// What a flow is granted when a revision refuses what it was let in by, as its mapping says
/// (POL-12). Belongs to the flow's thread.
class grace {
public:
  /// A revision refuses the flow.
  /// @param why   as judged; credentials that hold no more are granted nothing
  /// @param over  called when the time is over, unless end() was called before
  /// @return whether it goes on
  [[nodiscard]] bool spares(const decision_record& record,
                            reason why,
                            net::event_loop& loop,
                            std::function<void()> over);
  /// A revision lets the flow pass again.
  void end() noexcept { drained_.reset(); }

private:
  std::unique_ptr<net::timer> drained_; ///< of a flow that is refused and ends later
};

} // namespace marchproxy::relay

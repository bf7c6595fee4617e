// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/grace.hpp"

namespace marchproxy::relay {

bool grace::spares(const decision_record& record,
                   reason why,
                   net::event_loop& loop,
                   std::function<void()> over) {
  const auto shown_before = static_cast<bool>(record.identity);
  if (why == reason::auth_failed || (why == reason::auth_required && shown_before))
    return false;
  switch (record.when_revoked) {
  case model::revocation::cut:
    return false;
  case model::revocation::finish:
    return true;
  case model::revocation::drain:
    break;
  }
  if (!drained_) { // else an earlier revision has begun it
    drained_ = std::make_unique<net::timer>(std::move(over));
    loop.arm(*drained_, std::chrono::seconds{record.drain_seconds});
  }
  return true;
}

} // namespace marchproxy::relay

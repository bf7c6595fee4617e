// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/judge_way.hpp"

#include "nodes/net/socket.hpp"

namespace marchproxy::relay {

judgement judge_way(const policy_snapshot* snapshot, const question& q, const ip_address& address) {
  auto j = judge_address(snapshot, q, address);
  if (j.observed && !j.verdict.allow_private && net::is_own_address(address))
    j.observed = false;
  return j;
}

} // namespace marchproxy::relay

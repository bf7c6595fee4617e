// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/judge.hpp"

#include <algorithm>

namespace marchproxy::relay {

namespace {

bool proven_here(const policy_snapshot& snapshot, const question& q) {
  if (!q.proven)
    return false;
  auto services = snapshot.program->sources_at(q.source);
  return std::find(services.begin(), services.end(), q.proven) != services.end();
}

/// The verdict holds only with credentials: are they there?
judgement authenticate(const policy_snapshot& snapshot, const question& q, judgement j) {
  auto granted = j.why;
  if (proven_here(snapshot, q)) {
    j.identity = q.proven;
    return j;
  }
  j.why = reason::auth_required;
  if (q.shown == nullptr || !q.shown->given())
    return j;
  auto who = snapshot.auth
               ? snapshot.auth->check(*snapshot.program, j.verdict.mapping, q.source, *q.shown)
               : std::optional<service_id>{};
  j.why = who ? granted : reason::auth_failed;
  j.identity = who.value_or(service_id{});
  return j;
}

judgement judge(const policy_snapshot* snapshot, const question& q, const policy::flow& f) {
  judgement j;
  if (snapshot == nullptr || !snapshot->program)
    return j;
  j.verdict = snapshot->program->decide(f);
  if (!j.verdict.allowed()) {
    j.why = j.verdict.mapping ? reason::mapping_deny : reason::implicit_deny;
    return j;
  }
  j.why = j.verdict.action == model::mapping_action::bypass ? reason::mapping_bypass
                                                            : reason::mapping_allow;
  return j.verdict.auth_required ? authenticate(*snapshot, q, j) : j;
}

policy::flow flow_of(const question& q) {
  policy::flow f;
  f.source = q.source;
  f.name = q.name;
  f.port = q.port;
  return f;
}

} // namespace

judgement judge_name(const policy_snapshot* snapshot, const question& q) {
  return judge(snapshot, q, flow_of(q));
}

judgement
judge_address(const policy_snapshot* snapshot, const question& q, const ip_address& address) {
  auto f = flow_of(q);
  f.destination = address;
  auto j = judge(snapshot, q, f);
  if (j.why == reason::implicit_deny && special_range(address)) {
    // Would it be allowed but for the range? `-` is a name that no rule names, so it stands for
    // `all`.
    auto elsewhere = f;
    elsewhere.destination = std::nullopt;
    elsewhere.name = q.name.empty() ? "-" : q.name;
    if (snapshot->program->decide(elsewhere).allowed())
      j.why = reason::private_destination;
  }
  return j;
}

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/judge.hpp"

#include <algorithm>
#include <vector>

namespace marchproxy::relay {

namespace {

const model::mapping* find_mapping(const model::ruleset& rules, mapping_id id) {
  auto found =
    std::lower_bound(rules.mappings.begin(), rules.mappings.end(), id,
                     [](const model::mapping& m, mapping_id wanted) { return m.id < wanted; });
  return found != rules.mappings.end() && found->id == id ? &*found : nullptr;
}

/// Whose credentials the mapping takes from that address: those of its source services that are
/// there; nullopt: any service's, since the mapping is for `all`.
std::optional<std::vector<service_id>>
candidates(const policy::program& program, mapping_id decides, const ip_address& source) {
  std::vector<service_id> out;
  const auto* m = find_mapping(program.rules(), decides);
  if (m == nullptr)
    return out;
  for (const auto& which : m->sources) {
    if (std::holds_alternative<model::select_all>(which))
      return std::nullopt;
    for (const auto* s : model::members(program.rules(), which)) {
      const auto* prefix = std::get_if<ip_prefix>(&s->address);
      if (prefix != nullptr && prefix->contains(source))
        out.push_back(s->id);
    }
  }
  return out;
}

bool still_holds(const model::ruleset& rules,
                 const identity::authenticated& proven,
                 time_point now) {
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  return std::any_of(rules.credentials.begin(), rules.credentials.end(),
                     [&](const model::credential& c) {
                       return c.service == proven.service && c.id == proven.credential
                              && (!c.expires_at || *c.expires_at > seconds);
                     });
}

/// The verdict holds only with credentials: are they there?
judgement authenticate(const policy_snapshot& snapshot, const question& q, judgement j) {
  auto granted = j.why;
  auto of = candidates(*snapshot.program, j.verdict.mapping, q.source);
  j.why = reason::auth_required;
  if (q.proven) {
    auto meant = !of || std::find(of->begin(), of->end(), q.proven->service) != of->end();
    if (meant && still_holds(snapshot.program->rules(), *q.proven, wall_now())) {
      j.why = granted;
      j.identity = q.proven;
    }
    return j;
  }
  if (q.shown == nullptr || q.shown->secret.empty())
    return j;
  j.why = reason::auth_failed;
  if (!snapshot.auth)
    return j;
  auto who = snapshot.auth->check(
    of ? std::optional{std::span<const service_id>{*of}} : std::nullopt, q.shown, wall_now());
  if (who) {
    j.why = granted;
    j.identity = *who;
  }
  return j;
}

judgement judge(const policy_snapshot* snapshot, const question& q, const policy::flow& f) {
  judgement j;
  if (snapshot == nullptr || !snapshot->program)
    return j;
  j.verdict = snapshot->program->decide(f);
  if (!j.verdict.allowed()) {
    j.why = j.verdict.mapping ? reason::mapping_deny : reason::implicit_deny;
  } else {
    j.why = j.verdict.action == model::mapping_action::bypass ? reason::mapping_bypass
                                                              : reason::mapping_allow;
    if (j.verdict.auth_required)
      j = authenticate(*snapshot, q, j);
  }
  j.observed = j.verdict.observe && !j.allowed();
  return j;
}

policy::flow flow_of(const question& q) {
  policy::flow f;
  f.source = q.source;
  f.name = q.name;
  f.port = q.port;
  f.protocol = q.protocol;
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

limiting::flow_meters meters_of(const policy_snapshot* snapshot,
                                const question& q,
                                mapping_id mapping,
                                const ip_address& address) {
  if (snapshot == nullptr || !snapshot->limits)
    return {};
  return snapshot->limits->of({.mapping = mapping,
                               .destination = address,
                               .name = q.name,
                               .protocol = q.protocol,
                               .port = q.port});
}

judgement beyond(const judgement& allowed, const limiting::refused& limit) {
  auto out = allowed;
  out.why = reason::rate_limited;
  out.limit = limit;
  out.observed = false; // limits hold for what is observed too
  return out;
}

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/server_name.hpp"

#include <algorithm>

namespace marchproxy::relay {

namespace {

/// The client named its target itself, so what its hello names can be held against that. A
/// listener's target is the administrator's choice, and a transparent flow has no other name.
bool asked_by_name(const decision_record& flow) noexcept {
  return !flow.name.empty() && (flow.via == entry::connect || flow.via == entry::socks5);
}

} // namespace

question question_of(const decision_record& flow) {
  question q{flow.source.address, flow.name, flow.port, nullptr, {}, flow.protocol};
  if (flow.identity)
    q.proven = identity::authenticated{flow.identity, flow.credential};
  return q;
}

judgement refused_for(const policy_snapshot* snapshot, reason why) {
  judgement out;
  out.why = why;
  if (snapshot == nullptr || !snapshot->program)
    return out;
  out.verdict.revision = snapshot->program->revision();
  // What breaks TLS is no verdict.
  out.observed = snapshot->program->rules().observe && why != reason::bad_hello;
  return out;
}

bool hello_may_allow(const policy_snapshot* snapshot,
                     const question& q,
                     const ip_address& address) {
  if (snapshot == nullptr || !snapshot->names.may_allow(q.port))
    return false;
  auto why = judge_address(snapshot, q, address).why;
  return why == reason::implicit_deny || why == reason::private_destination;
}

bool hello_may_refuse(const policy_snapshot* snapshot, const decision_record& flow) {
  // It was judged by it, or it bypasses whatever looks into flows (POL-4).
  if (!flow.sni.empty() || flow.why == reason::mapping_bypass)
    return false;
  return asked_by_name(flow) || (snapshot != nullptr && snapshot->names.may_deny(flow.port));
}

bool hides_name(const relay_settings& settings,
                const wire::client_hello& hello,
                const ip_address& to) {
  if (!hello.encrypted)
    return false;
  switch (settings.ech) {
  case ech_policy::deny:
    return true;
  case ech_policy::outer:
    return false;
  case ech_policy::strip:
    break;
  }
  const auto told = settings.told->find(hello.server_name.name(), net::clock::now());
  return !told
         || std::find(told->addresses.begin(), told->addresses.end(), to) == told->addresses.end();
}

std::optional<judgement> judge_hello(const policy_snapshot* snapshot,
                                     const decision_record& flow,
                                     const wire::client_hello& hello,
                                     const relay_settings& settings) {
  // Whoever asked for a name was judged by that one. For all others a mapping that denies a name
  // holds only if the name can be seen.
  if (!asked_by_name(flow) && snapshot != nullptr && snapshot->names.may_deny(flow.port)
      && hides_name(settings, hello, *flow.address))
    return refused_for(snapshot, reason::ech_refused);
  return judge_server_name(snapshot, flow, hello.server_name.name());
}

std::optional<judgement> judge_server_name(const policy_snapshot* snapshot,
                                           const decision_record& flow,
                                           std::string_view name) {
  if (name.empty() || name == flow.name)
    return std::nullopt;
  auto q = question_of(flow);
  q.name = name;
  auto j = judge_address(snapshot, q, *flow.address);
  if (j.why == reason::mapping_deny)
    return j;
  if ((j.allowed() && !j.observed) || !asked_by_name(flow))
    return std::nullopt;
  auto out = refused_for(snapshot, reason::sni_mismatch);
  out.observed = j.observed;
  return out;
}

wire::tls_alert alert_of(reason r) noexcept {
  if (r == reason::sni_mismatch)
    return wire::tls_alert::unrecognized_name;
  return r == reason::bad_hello ? wire::tls_alert::decode_error : wire::tls_alert::access_denied;
}

} // namespace marchproxy::relay

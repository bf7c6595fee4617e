// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/judge.hpp"
#include "nodes/relay/settings.hpp"
#include "nodes/wire/client_hello.hpp"
#include "nodes/wire/tls_alert.hpp"

#include <optional>
#include <string_view>

namespace marchproxy::relay {

/// What the server name (SNI) in a client's TLS hello means for a flow
/// (docs/adr/0005-server-names.md). Pure, as judge.hpp, on which it builds.

/// A flow's question as its record has it: who was proven stays proven.
[[nodiscard]] question question_of(const decision_record& flow);
/// The refusal of a flow for a reason that no mapping gives; observed where the cluster is.
[[nodiscard]] judgement refused_for(const policy_snapshot* snapshot, reason why);

/// An address that is refused, but on a port where a mapping allows names: the hello may show one.
[[nodiscard]] bool
hello_may_allow(const policy_snapshot* snapshot, const question& q, const ip_address& address);
/// An allowed flow, of which nothing was sent on yet, whose hello may still refuse it.
[[nodiscard]] bool hello_may_refuse(const policy_snapshot* snapshot, const decision_record& flow);

/// The name meant may be another than the one in the hello, as the settings see it.
/// @param to  the address meant
[[nodiscard]] bool
hides_name(const relay_settings& settings, const wire::client_hello& hello, const ip_address& to);

/// @return why an allowed flow is refused now that its hello is there, or would be if that were not
/// observed; nullopt: it goes on
[[nodiscard]] std::optional<judgement> judge_hello(const policy_snapshot* snapshot,
                                                   const decision_record& flow,
                                                   const wire::client_hello& hello,
                                                   const relay_settings& settings);
/// The same for the name alone, which a later revision judges again.
[[nodiscard]] std::optional<judgement> judge_server_name(const policy_snapshot* snapshot,
                                                         const decision_record& flow,
                                                         std::string_view name);

/// How a TLS client is told.
[[nodiscard]] wire::tls_alert alert_of(reason r) noexcept;

} // namespace marchproxy::relay

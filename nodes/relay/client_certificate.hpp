// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/time.hpp"
#include "actors/model/ingress_route.hpp"
#include "nodes/relay/decision.hpp"
#include "nodes/tls/channel.hpp"

#include <optional>
#include <string>

namespace marchproxy::relay {

struct client_refusal {
  reason why = reason::client_cert_required;
  std::string message; ///< for people
};

/// Whether a client may use a route at all, by how it came and the certificate that it showed
/// (IDN-5). Asked for each request: routes change, and certificates end.
/// @param by   null: it came without TLS
/// @return     why not; nothing when it may
[[nodiscard]] std::optional<client_refusal>
refuse_client(const model::ingress_route& route, const tls::channel* by, time_point now);

/// The subject that the backend of @p route is told; nothing when the route asks for no
/// certificate.
[[nodiscard]] std::optional<std::string_view> told_subject(const model::ingress_route& route,
                                                           const tls::channel* by) noexcept;

} // namespace marchproxy::relay

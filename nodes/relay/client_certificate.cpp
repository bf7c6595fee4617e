// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/client_certificate.hpp"

#include "actors/model/http_rules.hpp"

#include <algorithm>

namespace marchproxy::relay {

namespace {

using names = std::vector<std::string>;

bool has_any(const names& listed, const names& shown) {
  return std::any_of(shown.begin(), shown.end(), [&](const std::string& one) {
    return std::find(listed.begin(), listed.end(), one) != listed.end();
  });
}

bool is_listed(const model::client_certificates& listed, const tls::peer_identity& who) {
  names dns = who.dns_names;
  for (auto& one : dns)
    one = model::lower_case(one);
  return has_any(listed.common_names, who.common_names) || has_any(listed.dns_names, dns)
         || has_any(listed.uris, who.uris);
}

} // namespace

std::optional<client_refusal>
refuse_client(const model::ingress_route& route, const tls::channel* by, time_point now) {
  using standing = tls::peer_identity::standing;
  if (!route.tls)
    return std::nullopt;
  // A connection from before the port had TLS.
  if (by == nullptr)
    return client_refusal{reason::bad_request, "this route is served with TLS only"};
  const auto& wanted = route.tls->client_certificates;
  if (!wanted)
    return std::nullopt;
  const auto* who = by->peer();
  if (who == nullptr || who->is == standing::none)
    return client_refusal{};
  if (who->is == standing::refused)
    return client_refusal{reason::client_cert_refused, "the client certificate: " + who->problem};
  if (who->not_after < now)
    return client_refusal{reason::client_cert_refused, "the client certificate has expired"};
  if (!wanted->any_name() && !is_listed(*wanted, *who))
    return client_refusal{reason::client_cert_refused, {}};
  return std::nullopt;
}

std::optional<std::string_view> told_subject(const model::ingress_route& route,
                                             const tls::channel* by) noexcept {
  if (!route.tls || !route.tls->client_certificates || by == nullptr || by->peer() == nullptr)
    return std::nullopt;
  return by->peer()->subject;
}

} // namespace marchproxy::relay

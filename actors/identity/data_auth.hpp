// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/time.hpp"
#include "actors/identity/proxy_authorization.hpp"
#include "actors/model/model.hpp"

#include <tl/expected.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::identity {

/// Why credentials prove nothing. For logs, counters and refusals; names are stable.
enum class auth_failure : std::uint8_t {
  no_credential,   ///< none was shown
  unknown_token,   ///< no service has that Base64 token
  other_service,   ///< valid, but of no service at that source address, or not of the one it names
  expired,         ///< the token or the credential
  not_yet_valid,   ///< `nbf` lies ahead
  no_expiry,       ///< a JWT without `exp`
  malformed,       ///< a JWT that cannot be read, or with critical extensions
  too_large,       ///< a JWT beyond 8 KiB
  wrong_algorithm, ///< not the algorithm the credential is pinned to; `none` always
  wrong_key,       ///< `kid` names no credential of the candidates
  ambiguous,       ///< a JWT with neither `kid` nor `sub` where very many keys could be meant
  bad_signature,
  wrong_subject,  ///< `sub` is not the service's name
  wrong_audience, ///< `aud` is there and does not name `marchproxy` (RFC 7519 4.1.3)
};
[[nodiscard]] std::string_view to_string(auth_failure why) noexcept;

struct authenticated {
  service_id service;
  std::string credential; ///< its id

  bool operator==(const authenticated&) const = default;
};

/// Says whose credentials were shown (IDN-3). Made once per revision, immutable, safe from all
/// threads. Several credentials of a service hold at once, so that they can be rotated with
/// overlap.
class authenticator {
public:
  /// Of the active services and their credentials. Credentials whose key cannot be read prove
  /// nothing; they are listed in unusable().
  explicit authenticator(const model::ruleset& rules);
  ~authenticator();
  authenticator(authenticator&&) noexcept;
  authenticator& operator=(authenticator&&) noexcept;
  authenticator(const authenticator&) = delete;
  authenticator& operator=(const authenticator&) = delete;

  /// @param candidates  the services that the source address may be (those of the mapping's
  ///                    sources whose address contains it); nullopt: any service
  /// @param shown       nullptr if nothing was shown
  [[nodiscard]] tl::expected<authenticated, auth_failure>
  check(std::optional<std::span<const service_id>> candidates,
        const presented* shown,
        time_point now) const;

  /// `service/credential: why`
  [[nodiscard]] const std::vector<std::string>& unusable() const noexcept;

private:
  struct state;
  std::unique_ptr<const state> state_;
};

/// What a proxy would find wrong with @p one's key, for the manager to refuse it at once.
/// @errors invalid_argument naming `verifier` or `algorithm`
[[nodiscard]] result<void> check_credential_key(const model::credential& one);

} // namespace marchproxy::identity

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/ip.hpp"
#include "actors/base/strong_id.hpp"
#include "actors/policy/program.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::relay {

/// What a client shows: a service's name and its token, or a token alone.
struct credentials {
  std::string user; ///< empty for a bearer token
  std::string secret;

  [[nodiscard]] bool given() const noexcept { return !secret.empty(); }
};

/// Reads the value of Proxy-Authorization: `Basic base64(service:token)` or `Bearer token`.
/// @return nothing when it is neither
[[nodiscard]] std::optional<credentials> parse_authorization(std::string_view value);

/// Says whose credentials were shown. Immutable; threads share it.
class credential_checker {
public:
  credential_checker() = default;
  credential_checker(const credential_checker&) = delete;
  credential_checker& operator=(const credential_checker&) = delete;
  virtual ~credential_checker() = default;

  /// @param mapping  the mapping that wants them: they must be of one of its sources
  /// @return the service at @p source that they prove; none when they prove nothing
  [[nodiscard]] virtual std::optional<service_id> check(const policy::program& program,
                                                        mapping_id mapping,
                                                        const ip_address& source,
                                                        const credentials& shown) const = 0;
};

} // namespace marchproxy::relay

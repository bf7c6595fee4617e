// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/identity/proxy_authorization.hpp"
#include "nodes/relay/decision.hpp"
#include "nodes/relay/snapshot.hpp"
#include "nodes/relay/stream.hpp"

#include <cstdint>
#include <string>

namespace marchproxy::relay {

/// Reads what a client that comes by a service's listener shows when it is asked whose it is
/// (wire::auth_line).
class credentials_prompt {
public:
  enum class state : std::uint8_t {
    waiting, ///< for more of the line
    shown,   ///< a line came; one that cannot be read shows what proves nothing
    gone,    ///< the client said no more
  };
  /// @param early  what was read of the client already: perhaps the line
  explicit credentials_prompt(buffer early) noexcept : held_(std::move(early)) {}

  [[nodiscard]] state advance(stream& client);
  /// Once, of state shown. A service that is named by its id is told by its name.
  /// @param snapshot  may be null
  [[nodiscard]] identity::presented take_shown(const policy_snapshot* snapshot);
  /// What came behind the line.
  [[nodiscard]] buffer take_rest() noexcept { return std::move(held_); }

private:
  buffer held_;
  identity::presented shown_;
};

/// The line that tells a client why not: `AUTH_FAILED` or, where not for its credentials,
/// `REFUSED`, then the reason and the request's id.
[[nodiscard]] std::string failure_line(reason why, std::uint64_t request);

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/model.hpp"

#include <cstdint>
#include <optional>

namespace marchproxy::relay {

/// The TCP ports on which mappings to services with a name (FQDN, wildcard) speak: on all others a
/// name that a client shows later than its target, in a TLS hello, changes no verdict.
class named_ports {
public:
  named_ports() = default;
  explicit named_ports(const model::ruleset& rules);

  /// Some mapping allows, or lets bypass, a name on @p port, of whatever source.
  [[nodiscard]] bool may_allow(std::uint16_t port) const noexcept {
    return allowed_ && allowed_->allows(port);
  }
  [[nodiscard]] bool may_deny(std::uint16_t port) const noexcept {
    return denied_ && denied_->allows(port);
  }

private:
  std::optional<model::port_set> allowed_; ///< none: no such mapping
  std::optional<model::port_set> denied_;
};

} // namespace marchproxy::relay

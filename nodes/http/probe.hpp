// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <string>

namespace marchproxy::http {

/// Asks http://@p address:@p port/healthz and prints what it says (`--healthcheck` of every node).
/// An unspecified address means loopback. Blocks for 5 seconds at most.
/// @return an exit code: 0 when it answered 200, 1 otherwise
[[nodiscard]] int probe_health(const std::string& address, std::uint16_t port);

} // namespace marchproxy::http

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/net/socket.hpp"

#include <string>
#include <vector>

namespace marchproxy::net {

/// The name servers that this machine asks: those of resolv.conf, as c-ares reads it, in its order.
/// Link-local ones are left out: an endpoint has no zone.
/// @param servers  `address:port` comma list, as resolver_options has it; empty: the machine's
/// @errors invalid_argument for servers that do not parse; unavailable when c-ares cannot start
[[nodiscard]] result<std::vector<endpoint>> name_servers(const std::string& servers = {});

} // namespace marchproxy::net

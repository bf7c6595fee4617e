// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/model.hpp"

#include <string>
#include <string_view>

namespace marchproxy::pac {

/// The proxy auto-configuration file (a JavaScript function FindProxyForURL) for a client: what a
/// mapping lets it bypass it reaches directly (POL-4), for all else it asks the proxy.
///
/// The same mappings in the same order decide as in a program of these rules (POL-3), over TCP, by
/// what a client knows before it asks anybody: a name by the name alone, an address by itself. A
/// bypass that asks for credentials is no way around the proxy.
/// @param proxies  what the function answers else, as `PROXY proxy.example.org:8080`
/// @source the format: Netscape, "Navigator Proxy Auto-Config File Format", 1996
[[nodiscard]] std::string
script(const model::ruleset& rules, const ip_address& client, std::string_view proxies);

} // namespace marchproxy::pac

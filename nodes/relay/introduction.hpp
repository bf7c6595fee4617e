// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/model.hpp"
#include "nodes/net/socket.hpp"

#include <string>

namespace marchproxy::relay {

/// The PROXY header that tells a server who its client is (NET-6); empty for off.
/// @param at  where the client came to
[[nodiscard]] std::string
introduction_of(model::proxy_header as, const net::endpoint& client, const net::endpoint& at);
/// The header of a connection that is for nobody but us, such as a health check's; empty for off.
[[nodiscard]] std::string introduction_of_nobody(model::proxy_header as);

} // namespace marchproxy::relay

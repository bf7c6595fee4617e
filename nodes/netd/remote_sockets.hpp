// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/socket_broker.hpp"
#include "nodes/netd/remote.hpp"

#include <memory>

namespace marchproxy::netd {

/// A socket broker that has netd open them.
[[nodiscard]] std::unique_ptr<net::socket_broker> remote_sockets(std::shared_ptr<remote> by);

} // namespace marchproxy::netd

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/egress/settings.hpp"
#include "nodes/program/environment.hpp"

namespace marchproxy::egress {

/// Reads ENABLE_AF_XDP, AF_XDP_INTERFACES, ENABLE_DPDK, DPDK_PORTS, DPDK_MEMORY_MIB,
/// PACKET_CONNECTIONS, PACKET_CONNECTIONS_PER_SOURCE and PACKET_CORE into @p out, whose other
/// settings have been read.
void read_packet_settings(program::environment& env, settings& out);

} // namespace marchproxy::egress

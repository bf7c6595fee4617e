// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/worker/flow_table.hpp"
#include "dpdk/worker/headers.hpp"

#include <cstdint>

namespace marchproxy::packet_worker {

/// One packet of the burst under way, as far as it has got.
struct job {
  mp_packet packet;
  mp_flow_key key;
  std::uint64_t hash = 0;
  flow_entry* entry = nullptr; ///< of a connection that let it through
  mp_rule rule{};              ///< when foreseen: of the tuple as it came
  std::uint32_t size = 0;      ///< of the frame, bytes
  std::uint32_t outcome = 0;   ///< mp_total, or MP_PARSED
  std::uint8_t exchanged = 0;  ///< the key has the packet's ends the other way round
  std::uint8_t to_us = 0;      ///< the frame has the interface's hardware address
  std::uint8_t foreseen = 0;   ///< the policy was asked ahead of time
  std::uint8_t reply = 0;      ///< not as the originator sends
  std::uint8_t told = 0;       ///< its connection was cut, which its sender is told
};

} // namespace marchproxy::packet_worker

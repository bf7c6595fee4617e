// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// The parser and the connection tracking of bpf/abi over frames in memory.

#include "dpdk/port/frame.hpp"

#include <cstdint>
#include <cstring>

namespace marchproxy::packet_worker {

[[nodiscard]] inline bool
copy_from(const packet_port::frame& f, std::uint32_t at, void* to, std::size_t count) noexcept {
  if (count > f.size || at > f.size - count)
    return false;
  std::memcpy(to, f.data + at, count);
  return true;
}

} // namespace marchproxy::packet_worker

#define MP_FRAME const marchproxy::packet_port::frame&
#define MP_HOLDS(frame, bytes) ((bytes) <= (frame).size)
#define MP_LOAD(frame, at, to, count) (marchproxy::packet_worker::copy_from(frame, at, to, count))
#define MP_COUNT(counter, n) ((counter) += (n)) // a connection has one worker
// The C of the shared headers is not held to the C++ rules on casts.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#include "bpf/abi/parse.h"
#include "bpf/abi/refusal.h"
#include "bpf/abi/track.h"
#pragma GCC diagnostic pop

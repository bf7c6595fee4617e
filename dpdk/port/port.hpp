// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/port/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace marchproxy::packet_port {

/// What the device and its rings say, in frames.
struct port_counters {
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
  std::uint64_t missed = 0; ///< arrived and found no buffer, or no room in a ring
};

/// One receive and one send queue of an interface, served by one worker.
///
/// Ports of one worker share their buffers: a frame that one received may be sent by, delivered
/// through or given back to any other of the same kind and pool.
///
/// Threads: counters() from any, all else from the worker's only. Nothing here blocks.
class port {
public:
  port() = default;
  port(const port&) = delete;
  port& operator=(const port&) = delete;
  virtual ~port() = default;

  /// Called once on the worker's thread, before anything else there.
  virtual void begin() noexcept {}
  /// Fills the front of @p into, most_in_burst frames at most. @return how many
  [[nodiscard]] virtual std::size_t receive(std::span<frame> into) noexcept = 0;
  /// Puts frames on the wire. @return how many of the first ones it took; the others stay the
  /// caller's
  [[nodiscard]] virtual std::size_t send(std::span<const frame> frames) noexcept = 0;
  /// Hands frames to the kernel as if the interface had received them. @return as send
  [[nodiscard]] virtual std::size_t deliver(std::span<const frame> frames) noexcept = 0;
  /// Gives buffers back.
  virtual void release(std::span<const frame> frames) noexcept = 0;
  /// Once a round of the worker, traffic or not: what a port has to move by itself, such as what
  /// the kernel sends by way of it.
  virtual void turn() noexcept {}
  /// Becomes readable when frames wait, for a worker that has nothing to do; -1: there is no such
  /// descriptor, the port has to be asked again and again.
  [[nodiscard]] virtual int wait_descriptor() const noexcept { return -1; }
  [[nodiscard]] virtual port_counters counters() const noexcept = 0;
};

} // namespace marchproxy::packet_port

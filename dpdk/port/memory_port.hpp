// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/port/port.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace marchproxy::packet_port {

/// Buffers of memory ports: frames are copied into them once, on the way in.
class memory_pool {
public:
  static constexpr std::size_t buffer_size = 2048; ///< bytes

  explicit memory_pool(std::size_t buffers);

  /// A frame with these bytes; data is null when no buffer is left, or they do not fit.
  [[nodiscard]] frame take(std::span<const std::byte> bytes) noexcept;
  void give(const frame& back) noexcept { free_.push_back(back.token); }
  [[nodiscard]] std::size_t free() const noexcept { return free_.size(); }

private:
  std::unique_ptr<std::byte[]> area_;
  std::vector<std::uint64_t> free_; ///< indices of buffers; never grows beyond its first capacity
};

/// A port whose wire and kernel are lists in memory. For one thread, counters() apart.
class memory_port final : public port {
public:
  /// @param pool  outlives the port
  /// @param room  frames that wire and kernel hold until they are taken
  memory_port(memory_pool& pool, std::size_t room);
  memory_port(const memory_port&) = delete;
  memory_port& operator=(const memory_port&) = delete;
  ~memory_port() override;

  /// Lets a frame arrive. @return false, and counts it as missed, when there is no buffer
  bool arrive(std::span<const std::byte> bytes);
  /// What was put on the wire, or handed to the kernel, since the last call. The caller gives the
  /// frames back.
  [[nodiscard]] std::vector<frame> take_sent();
  [[nodiscard]] std::vector<frame> take_delivered();
  [[nodiscard]] std::size_t waiting() const noexcept { return arrived_.size() - next_; }

  [[nodiscard]] std::size_t receive(std::span<frame> into) noexcept override;
  [[nodiscard]] std::size_t send(std::span<const frame> frames) noexcept override;
  [[nodiscard]] std::size_t deliver(std::span<const frame> frames) noexcept override;
  void release(std::span<const frame> frames) noexcept override;
  [[nodiscard]] port_counters counters() const noexcept override;

private:
  std::size_t put(std::vector<frame>& into, std::span<const frame> frames) const noexcept;

  memory_pool& pool_;
  std::size_t room_;
  std::vector<frame> arrived_;
  std::size_t next_ = 0; ///< of arrived_, to be received
  std::vector<frame> sent_;
  std::vector<frame> delivered_;
  std::atomic<std::uint64_t> received_count_{0};
  std::atomic<std::uint64_t> sent_count_{0};
  std::atomic<std::uint64_t> missed_count_{0};
};

} // namespace marchproxy::packet_port

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/ethdev/device.hpp"
#include "dpdk/port/port.hpp"
#include "dpdk/port/tun_device.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>

struct rte_mbuf;

namespace marchproxy::ethdev {

/// A DPDK device as a port, and the kernel's side of it.
///
/// The kernel does not see a device that DPDK drives. A TAP device stands in for it there, with the
/// same hardware address: the kernel's addresses, routes and neighbours are on the TAP; what the
/// port delivers comes in by it, and what the kernel sends by it goes out by the port. No program
/// judges the TAP's packets, so each packet is judged once.
///
/// The TAP is our own and not DPDK's net_tap, which has its frames announced by signals: these
/// interrupt system calls of every other thread.
class device_port final : public packet_port::port {
public:
  /// @param from      outlives the port
  /// @param stand_in  name of the TAP device, made in the calling thread's network namespace; none:
  ///                  the kernel has no side, and takes nothing
  /// @errors unavailable
  [[nodiscard]] static result<std::unique_ptr<device_port>>
  make(const environment& from, device wire, const std::optional<std::string>& stand_in);
  device_port(const device_port&) = delete;
  device_port& operator=(const device_port&) = delete;
  ~device_port() override;

  [[nodiscard]] std::size_t receive(std::span<packet_port::frame> into) noexcept override;
  [[nodiscard]] std::size_t send(std::span<const packet_port::frame> frames) noexcept override;
  [[nodiscard]] std::size_t deliver(std::span<const packet_port::frame> frames) noexcept override;
  void release(std::span<const packet_port::frame> frames) noexcept override;
  void turn() noexcept override;
  void begin() noexcept override;
  [[nodiscard]] packet_port::port_counters counters() const noexcept override;

  [[nodiscard]] const device& wire() const noexcept { return wire_; }

private:
  device_port(const environment& from, device wire, std::optional<packet_port::tun_device> stand_in)
    : environment_(from), wire_(std::move(wire)), stand_in_(std::move(stand_in)) {}

  const environment& environment_;
  device wire_;
  std::optional<packet_port::tun_device> stand_in_;
  rte_mbuf* spare_ = nullptr; ///< for the kernel's next frame
  unsigned turns_ = 0;
};

} // namespace marchproxy::ethdev

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "dpdk/ethdev/environment.hpp"
#include "dpdk/forwarding/kernel_view.hpp"

#include <cstdint>
#include <string>

namespace marchproxy::ethdev {

/// An Ethernet device of DPDK with one receive and one send queue.
class device {
public:
  struct source {
    std::string name;      ///< a PCI address of the environment's, or a virtual device: `net_ring0`
    std::string arguments; ///< of a virtual device: `iface=eth0`; made in the caller's namespace
    bool is_virtual = false;
  };

  /// Makes it, when it is virtual, and starts it.
  /// @errors not_found, unavailable, with DPDK's own reason
  [[nodiscard]] static result<device> open(const environment& from, const source& what);
  device(const device&) = delete;
  device& operator=(const device&) = delete;
  device(device&& other) noexcept;
  device& operator=(device&&) = delete;
  /// Stops it; a virtual one is no more.
  ~device();

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] result<forwarding::mac_address> address() const;

private:
  device(std::uint16_t port, source what) : port_(port), what_(std::move(what)) {}
  [[nodiscard]] result<void> start(const environment& from);

  std::uint16_t port_;
  source what_;
};

} // namespace marchproxy::ethdev

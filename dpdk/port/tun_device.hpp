// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "bpf/loader/descriptor.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace marchproxy::packet_port {

/// A network interface of the kernel whose wire is this object: what is put is received by the
/// kernel, what the kernel sends is taken. It is in the namespace of the thread that made it, up,
/// without an address, and gone with this object.
class tun_device {
public:
  enum class kind : std::uint8_t {
    packets, ///< IP without a link header (TUN)
    frames   ///< Ethernet (TAP)
  };
  /// @param name  `%d` in it is replaced by a number
  /// @errors unavailable
  [[nodiscard]] static result<tun_device> open(kind what, const std::string& name);

  /// Its hardware address; for frames. @errors unavailable
  [[nodiscard]] result<void> set_address(const std::array<std::uint8_t, 6>& address);
  /// @return false when the kernel did not take it
  [[nodiscard]] bool put(std::span<const std::byte> bytes) const noexcept;
  /// One that the kernel sends. @return bytes; 0 when none waits
  [[nodiscard]] std::size_t take(std::span<std::byte> into) const noexcept;
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
  tun_device(tier_ebpf::descriptor device, std::string name)
    : device_(std::move(device)), name_(std::move(name)) {}

  tier_ebpf::descriptor device_;
  std::string name_;
};

} // namespace marchproxy::packet_port

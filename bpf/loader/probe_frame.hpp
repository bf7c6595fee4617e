// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/policy/program.hpp"

#include <array>
#include <cstddef>
#include <span>

namespace marchproxy::tier_ebpf {

/// The first Ethernet frame of a flow: TCP SYN, UDP datagram or ICMP echo request. Checksums are 0:
/// the program does not look at them, and the frame never leaves a test run.
struct probe_frame {
  std::array<std::byte, 80> bytes{};
  std::size_t size = 0;

  [[nodiscard]] std::span<const std::byte> view() const noexcept { return {bytes.data(), size}; }
};

/// @errors invalid_argument for a flow that no packet can be of: no destination address, or two
/// address families
[[nodiscard]] result<probe_frame> first_frame(const policy::flow& flow);

} // namespace marchproxy::tier_ebpf

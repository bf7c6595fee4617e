// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::sriov {

/// Where a PCI function is, as sysfs writes it: `0000:01:00.0`.
struct pci_address {
  std::uint32_t domain = 0;     ///< of four hexadecimal digits or more
  std::uint16_t routing_id = 0; ///< bus, device (5 bits), function (3 bits)

  auto operator<=>(const pci_address&) const = default;
};

/// Lower or upper case. @return nothing when @p text is no such address
[[nodiscard]] std::optional<pci_address> parse_pci_address(std::string_view text) noexcept;
[[nodiscard]] std::string to_string(const pci_address& address);

} // namespace marchproxy::sriov

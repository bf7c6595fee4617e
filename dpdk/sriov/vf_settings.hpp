// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace marchproxy::sriov {

using mac_address = std::array<std::uint8_t, 6>;

/// A tag that the card puts on what a virtual function sends, and takes from what it gets.
struct vlan_tag {
  std::uint16_t id = 0;      ///< 0: none
  std::uint8_t priority = 0; ///< 802.1p

  bool operator==(const vlan_tag&) const = default;
};

/// Whether a virtual function has link: as its physical function, always, never.
enum class link_state : std::uint8_t { automatic = 0, enable = 1, disable = 2 };

/// What a physical function's driver enforces for one virtual function. None: its driver does not
/// tell, or it was not asked for.
struct vf_settings {
  std::optional<mac_address> mac = {}; ///< zero: the function chooses
  std::optional<vlan_tag> vlan = {};
  std::optional<bool> spoof_check = {};
  std::optional<bool> trust = {};
  std::optional<link_state> state = {};

  bool operator==(const vf_settings&) const = default;
};

/// One of the settings.
struct spoof_check_value {
  bool on = false;
  bool operator==(const spoof_check_value&) const = default;
};
struct trust_value {
  bool on = false;
  bool operator==(const trust_value&) const = default;
};
using vf_setting = std::variant<mac_address, vlan_tag, spoof_check_value, trust_value, link_state>;

/// `02:00:00:00:00:01`, either case.
[[nodiscard]] std::optional<mac_address> parse_mac(std::string_view text) noexcept;
[[nodiscard]] std::string to_string(const mac_address& address);
/// `auto`, `enable`, `disable`.
[[nodiscard]] std::optional<link_state> parse_link_state(std::string_view text) noexcept;
[[nodiscard]] std::string_view to_string(link_state state) noexcept;
/// As `ip link set dev eth1 vf 0 ...` has it: `vlan 100 qos 3`.
[[nodiscard]] std::string to_string(const vf_setting& setting);

} // namespace marchproxy::sriov

// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/vf_settings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

namespace marchproxy::sriov {

std::optional<mac_address> parse_mac(std::string_view text) noexcept {
  mac_address out{};
  if (text.size() != 3 * out.size() - 1)
    return std::nullopt;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto* digits = text.data() + 3 * i;
    const auto [end, wrong] = std::from_chars(digits, digits + 2, out[i], 16);
    if (wrong != std::errc{} || end != digits + 2 || (i + 1 < out.size() && *end != ':'))
      return std::nullopt;
  }
  return out;
}

std::string to_string(const mac_address& address) {
  return fmt::format("{:02x}", fmt::join(address, ":"));
}

std::optional<link_state> parse_link_state(std::string_view text) noexcept {
  for (auto state : {link_state::automatic, link_state::enable, link_state::disable})
    if (to_string(state) == text)
      return state;
  return std::nullopt;
}

std::string_view to_string(link_state state) noexcept {
  switch (state) {
  case link_state::automatic:
    return "auto";
  case link_state::enable:
    return "enable";
  case link_state::disable:
    return "disable";
  }
  return "";
}

namespace {

struct as_words {
  std::string operator()(const mac_address& mac) const { return "mac " + to_string(mac); }
  std::string operator()(const vlan_tag& vlan) const {
    auto out = "vlan " + std::to_string(vlan.id);
    return vlan.priority == 0 ? out : out + " qos " + std::to_string(vlan.priority);
  }
  std::string operator()(spoof_check_value check) const {
    return check.on ? "spoofchk on" : "spoofchk off";
  }
  std::string operator()(trust_value trust) const { return trust.on ? "trust on" : "trust off"; }
  std::string operator()(link_state state) const {
    return "state " + std::string{to_string(state)};
  }
};

} // namespace

std::string to_string(const vf_setting& setting) {
  return std::visit(as_words{}, setting);
}

} // namespace marchproxy::sriov

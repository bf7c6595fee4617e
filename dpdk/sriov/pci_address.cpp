// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/pci_address.hpp"

#include <fmt/format.h>

#include <charconv>

namespace marchproxy::sriov {

namespace {

/// All of @p text as a hexadecimal number up to @p most.
std::optional<std::uint32_t> hex(std::string_view text, std::uint32_t most) noexcept {
  std::uint32_t out = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  if (wrong != std::errc{} || end != text.data() + text.size() || out > most)
    return std::nullopt;
  return out;
}

} // namespace

std::optional<pci_address> parse_pci_address(std::string_view text) noexcept {
  constexpr std::size_t behind_domain = 8; // `:01:00.0`
  if (text.size() < behind_domain + 4 || text.size() > behind_domain + 8)
    return std::nullopt;
  const auto domain = hex(text.substr(0, text.size() - behind_domain), 0xffff'ffffU);
  text.remove_prefix(text.size() - behind_domain);
  if (text[0] != ':' || text[3] != ':' || text[6] != '.')
    return std::nullopt;
  const auto bus = hex(text.substr(1, 2), 0xff);
  const auto device = hex(text.substr(4, 2), 0x1f);
  const auto function = hex(text.substr(7, 1), 7);
  if (!domain || !bus || !device || !function)
    return std::nullopt;
  return pci_address{*domain, static_cast<std::uint16_t>(*bus << 8U | *device << 3U | *function)};
}

std::string to_string(const pci_address& address) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{}", address.domain, address.routing_id >> 8U,
                     (address.routing_id >> 3U) & 0x1fU, address.routing_id & 7U);
}

} // namespace marchproxy::sriov

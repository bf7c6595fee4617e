// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/rule_order.hpp"

#include <algorithm>
#include <bit>

namespace marchproxy::policy {

namespace {

constexpr model::protocol_set tcp_udp = static_cast<model::protocol_set>(model::protocol::tcp)
                                        | static_cast<model::protocol_set>(model::protocol::udp);
constexpr auto icmp = static_cast<model::protocol_set>(model::protocol::icmp);
constexpr model::protocol_set every_protocol = tcp_udp | icmp;

model::protocol_set expand(model::protocol_set set) noexcept {
  return set == model::any_protocol ? every_protocol : set;
}

std::uint32_t count_ports(const std::vector<model::port_range>& ranges) noexcept {
  std::uint32_t count = 0;
  for (const auto& r : ranges)
    count += static_cast<std::uint32_t>(r.last) - r.first + 1;
  return count;
}

} // namespace

bool effective_match::matches(model::protocol protocol, std::uint16_t port) const noexcept {
  if ((protocols & static_cast<model::protocol_set>(protocol)) == 0)
    return false;
  if (protocol == model::protocol::icmp)
    return true;
  return std::any_of(ports.begin(), ports.end(),
                     [&](const model::port_range& r) { return port >= r.first && port <= r.last; });
}

effective_match effective(const model::mapping& m, const model::service* destination) {
  effective_match out;
  static const model::port_set unrestricted;
  const auto& service_ports = destination != nullptr ? destination->ports : unrestricted;
  auto restricted = !m.ports.unrestricted() || !service_ports.unrestricted();
  out.protocols = expand(m.protocols);
  if (destination != nullptr)
    out.protocols &= expand(destination->protocols);
  if (restricted) {
    out.ports = model::intersection(m.ports, service_ports);
    if ((m.protocols & icmp) == 0)
      out.protocols &= tcp_udp;
    if (out.ports.empty())
      out.protocols &= icmp;
  } else {
    out.ports = {{0, 65535}};
  }
  return out;
}

std::uint8_t specificity(const model::service_address* address) noexcept {
  if (address == nullptr)
    return 0;
  if (const auto* prefix = std::get_if<ip_prefix>(address)) {
    auto length = prefix->length + (prefix->base.family == ip_family::v4 ? 96U : 0U);
    return static_cast<std::uint8_t>(1 + length);
  }
  const auto& name = std::get<model::dns_name>(*address);
  if (!name.wildcard)
    return 255;
  auto labels = 1 + std::count(name.name.begin(), name.name.end(), '.');
  return static_cast<std::uint8_t>(std::min<std::ptrdiff_t>(129 + labels, 254));
}

rank_key order_of(const model::mapping& m,
                  std::uint8_t source_specificity,
                  std::uint8_t destination_specificity,
                  const effective_match& match) noexcept {
  auto ports = (match.protocols & tcp_udp) != 0 ? count_ports(match.ports) : 0U;
  auto protocols = static_cast<unsigned>(std::popcount(match.protocols));
  rank_key key;
  key.precedence = (static_cast<std::uint64_t>(m.priority & 0xffff) << 40)
                   | (static_cast<std::uint64_t>(255 - destination_specificity) << 32)
                   | (static_cast<std::uint64_t>(255 - source_specificity) << 24)
                   | (static_cast<std::uint64_t>(ports) << 4) | protocols;
  key.mapping = m.id.value;
  return key;
}

} // namespace marchproxy::policy

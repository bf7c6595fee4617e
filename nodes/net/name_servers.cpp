// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/name_servers.hpp"

#include "nodes/net/cares.hpp"

#include <array>
#include <cstring>
#include <memory>

namespace marchproxy::net {

namespace {

constexpr std::uint16_t domain_port = 53;

endpoint to_endpoint(const ares_addr_port_node& server) {
  endpoint out;
  out.port = server.udp_port == 0 ? domain_port : static_cast<std::uint16_t>(server.udp_port);
  if (server.family == AF_INET) {
    std::memcpy(out.address.bytes.data(), &server.addr.addr4, 4);
  } else {
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &server.addr.addr6, bytes.size());
    out.address = ip_address::v6(bytes);
  }
  return out;
}

} // namespace

result<std::vector<endpoint>> name_servers(const std::string& servers) {
  if (auto started = start_cares(); !started)
    return tl::unexpected(started.error());
  ares_channel raw = nullptr;
  if (auto status = ares_init(&raw); status != ARES_SUCCESS)
    return fail(errc::unavailable, ares_strerror(status));
  std::unique_ptr<ares_channeldata, decltype(&ares_destroy)> channel{raw, ares_destroy};
  if (!servers.empty())
    if (auto set = set_servers(raw, servers); !set)
      return tl::unexpected(set.error());
  ares_addr_port_node* first = nullptr;
  if (auto status = ares_get_servers_ports(raw, &first); status != ARES_SUCCESS)
    return fail(errc::unavailable, ares_strerror(status));
  std::unique_ptr<void, decltype(&ares_free_data)> owned{first, ares_free_data};
  const auto link_local = make_prefix(*parse_ip("fe80::"), 10);
  std::vector<endpoint> out;
  for (const auto* each = first; each != nullptr; each = each->next)
    if (const auto at = to_endpoint(*each); !link_local.contains(at.address))
      out.push_back(at);
  return out;
}

} // namespace marchproxy::net

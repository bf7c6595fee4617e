// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/node_addresses.hpp"

#include "bpf/loader/map_reader.hpp"
#include "bpf/loader/traffic.hpp"

#include <bpf/bpf.h>

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace marchproxy::tier_ebpf {

namespace {

struct free_addresses {
  void operator()(ifaddrs* list) const noexcept { ::freeifaddrs(list); }
};

void add(std::set<address_bytes>& to, const sockaddr* from) {
  if (from == nullptr)
    return;
  if (from->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, from, sizeof v4);
    to.insert(bytes_of(ip_address::v4(ntohl(v4.sin_addr.s_addr))));
  } else if (from->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, from, sizeof v6);
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    to.insert(bytes_of(ip_address::v6(bytes)));
  }
}

} // namespace

address_bytes bytes_of(const ip_address& address) noexcept {
  auto abi = to_abi(address);
  address_bytes out{};
  std::memcpy(out.data(), &abi, out.size());
  return out;
}

result<std::set<address_bytes>> node_addresses() {
  ifaddrs* raw = nullptr;
  if (::getifaddrs(&raw) != 0)
    return fail(errc::unavailable, std::string{"node addresses: "} + std::strerror(errno));
  std::unique_ptr<ifaddrs, free_addresses> list{raw};
  std::set<address_bytes> out;
  for (const auto* i = list.get(); i != nullptr; i = i->ifa_next) {
    add(out, i->ifa_addr);
    if ((i->ifa_flags & IFF_BROADCAST) != 0)
      add(out, i->ifa_broadaddr);
  }
  return out;
}

result<void> sync_addresses(int fd, const std::set<address_bytes>& wanted) {
  std::uint8_t present = 1;
  for (const auto& a : wanted)
    if (bpf_map_update_elem(fd, a.data(), &present, BPF_ANY) != 0)
      return fail(errc::unavailable, std::string{"node addresses: "} + std::strerror(errno));
  std::vector<address_bytes> gone;
  read_map<address_bytes, std::uint8_t>(fd, 1, std::numeric_limits<std::size_t>::max(),
                                        [&](const address_bytes& a, std::span<const std::uint8_t>) {
                                          if (!wanted.contains(a))
                                            gone.push_back(a);
                                        });
  for (const auto& a : gone)
    bpf_map_delete_elem(fd, a.data());
  return {};
}

} // namespace marchproxy::tier_ebpf

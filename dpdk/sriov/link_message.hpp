// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/ip.hpp"
#include "dpdk/sriov/vf_settings.hpp"

#include <cstddef>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

// rtnetlink messages, as bytes: what is sent, and what answers say. Requests have no sequence
// number and ask for no acknowledgement's place: the transport fills that in.
namespace marchproxy::sriov {

using message = std::vector<std::byte>;

/// Sets one thing of a virtual function: what `ip link set dev ... vf ...` sends.
/// @param interface  index of the physical function's
[[nodiscard]] message set_vf(int interface, unsigned vf, const vf_setting& to);
/// Asks for an interface with what is set for its virtual functions.
[[nodiscard]] message get_vfs(int interface);
/// Asks for all routes, of all tables, of @p family (AF_INET, AF_INET6).
[[nodiscard]] message get_routes(int family);
/// Asks for all addresses of interfaces.
[[nodiscard]] message get_addresses();

/// The settings by virtual function in the answer to get_vfs(); what is cut short is left out.
[[nodiscard]] std::map<unsigned, vf_settings> read_vfs(std::span<const std::byte> answer);
/// The interface's name in the answer to get_vfs(); empty: none.
[[nodiscard]] std::string read_name(std::span<const std::byte> answer);
/// Indices of the interfaces that a default route of @p answer uses, each of its next hops.
[[nodiscard]] std::set<int> read_default_routes(std::span<const std::byte> answer);
/// Interface indices by address.
[[nodiscard]] std::multimap<ip_address, int> read_addresses(std::span<const std::byte> answer);

} // namespace marchproxy::sriov

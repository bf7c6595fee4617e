// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/lease_store.hpp"
#include "nodes/wire/dns_message.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::dns {

/// What clients were told: names, their addresses of both families, and for how long they may use
/// them. The relay reads from it which encrypted server names are none (ECH=strip,
/// docs/resolver.md).
struct told_addresses {
  std::string name; ///< as wire::host has it
  std::vector<ip_address> addresses;
  std::chrono::seconds ttl{0}; ///< the smallest of the records that led there
};

/// @param answer  to a question for A or AAAA
/// @return nullopt: it has none, or for a name that no host can have
[[nodiscard]] std::optional<told_addresses> read_told(std::string_view answer);

/// Adds to what @p store has of the name, which other answers said. One thread at a time.
void remember(net::lease_store& store, const told_addresses& told, net::clock::time_point now);

} // namespace marchproxy::dns

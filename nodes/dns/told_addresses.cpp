// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/dns/told_addresses.hpp"

#include "nodes/wire/host.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace marchproxy::dns {

namespace {

/// Clients hold on to an answer for somewhat longer than its TTL: browsers keep any for a minute.
constexpr std::chrono::seconds longer{120};

std::optional<ip_address> address_of(std::string_view data, bool v4) {
  if (data.size() != (v4 ? 4 : 16))
    return std::nullopt;
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), data.data(), data.size());
  return v4 ? ip_address{ip_family::v4, bytes} : ip_address::v6(bytes);
}

} // namespace

std::optional<told_addresses> read_told(std::string_view answer) {
  auto reader = wire::dns_reader::open(answer);
  if (!reader || reader->header().rcode() != 0)
    return std::nullopt;
  const auto& asked = reader->question();
  const auto v4 = asked.is(wire::dns_type::a);
  auto name = wire::host::parse(asked.name.text());
  if ((!v4 && !asked.is(wire::dns_type::aaaa)) || !name || name->address())
    return std::nullopt;
  told_addresses out{std::string{name->name()}, {}, {}};
  auto least = std::uint32_t{std::numeric_limits<std::int32_t>::max()};
  while (auto record = reader->next()) {
    if (record->section != 1)
      break;
    least = std::min(least, record->ttl);
    if (record->type != asked.type || out.addresses.size() == net::lease::most_addresses)
      continue;
    if (auto address = address_of(answer.substr(record->data, record->end - record->data), v4))
      out.addresses.push_back(*address);
  }
  out.ttl = std::chrono::seconds{least};
  return out.addresses.empty() ? std::nullopt : std::optional{std::move(out)};
}

void remember(net::lease_store& store, const told_addresses& told, net::clock::time_point now) {
  const auto lasts = std::min(told.ttl, store.terms().longest) + longer;
  net::lease all{told.addresses, now + lasts, wall_now() + lasts};
  if (const auto before = store.find(told.name, now)) {
    all.until = std::max(all.until, before->until);
    all.ends = std::max(all.ends, before->ends);
    for (const auto& each : before->addresses)
      if (all.addresses.size() < net::lease::most_addresses
          && std::find(told.addresses.begin(), told.addresses.end(), each) == told.addresses.end())
        all.addresses.push_back(each);
  }
  store.put(told.name, all);
}

} // namespace marchproxy::dns

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/contracts/events.hpp"

namespace marchproxy::contracts {

namespace {

template <class Message>
rollout::announcement read(const Message& m) {
  return {marchproxy::revision{m.revision},     m.sha256,   m.program_hash, m.size,
          static_cast<std::uint32_t>(m.chunks), m.signature};
}

template <class Message>
Message write(const std::string& cluster, const rollout::announcement& a) {
  Message m;
  m.revision = a.revision.value;
  m.cluster = cluster;
  m.sha256 = a.sha256;
  m.program_hash = a.program_hash;
  m.size = a.size;
  m.chunks = a.chunks;
  m.signature = a.signature;
  return m;
}

} // namespace

std::string manager_source(std::string_view cluster) {
  return "/clusters/" + std::string{cluster} + "/manager";
}

std::string proxy_source(std::string_view cluster, std::string_view key) {
  return "/clusters/" + std::string{cluster} + "/proxies/" + std::string{key};
}

rollout::announcement announcement_of(const bus_schemas::config_prepare& message) {
  return read(message);
}

rollout::announcement announcement_of(const bus_schemas::config_active& message) {
  return read(message);
}

bus_schemas::config_prepare
to_prepare(const std::string& cluster, const rollout::announcement& a, time_point deadline) {
  auto m = write<bus_schemas::config_prepare>(cluster, a);
  m.deadline = format_time(deadline);
  return m;
}

bus_schemas::config_active
to_active(const std::string& cluster, const rollout::announcement& a, time_point decided_at) {
  auto m = write<bus_schemas::config_active>(cluster, a);
  m.decided_at = format_time(decided_at);
  return m;
}

} // namespace marchproxy::contracts

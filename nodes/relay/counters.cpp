// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/counters.hpp"

namespace marchproxy::relay {

void lookup_totals::add(const net::lookup_counters& of_one) noexcept {
  hosts += of_one.hosts.get();
  leased += of_one.leased.get();
  joined += of_one.joined.get();
  asked += of_one.asked.get();
  stale += of_one.stale.get();
  failures += of_one.failures.get();
}

void worker_counters::count_mapping(mapping_id mapping, std::uint64_t mapping_count::*what) {
  std::lock_guard lock{mappings_mutex_};
  ++(mappings_[mapping].*what);
}

void worker_counters::count_limited(const limiting::refused& limit) {
  std::lock_guard lock{mappings_mutex_};
  ++limited_[{limit.of, limit.what}];
}

void worker_counters::add_to(relay_totals& sum) const {
  for (std::size_t i = 0; i < entry_count; ++i) {
    sum.flows[i] += flows[i].get();
    sum.active[i] += active[i].get();
  }
  for (std::size_t i = 0; i < reason_count; ++i) {
    sum.reasons[i] += reasons[i].get();
    sum.observed[i] += observed[i].get();
  }
  sum.connections += connections.get();
  sum.open += open.get();
  sum.resting += resting.get();
  sum.over_limit += over_limit.get();
  sum.bad_proxy_headers += bad_proxy_headers.get();
  sum.tls_full += tls_full.get();
  sum.tls_resumed += tls_resumed.get();
  sum.tls_failed += tls_failed.get();
  sum.allowed += allowed.get();
  sum.denied += denied.get();
  sum.auth_successes += auth_successes.get();
  sum.auth_failures += auth_failures.get();
  sum.bytes_up += bytes_up.get();
  sum.bytes_down += bytes_down.get();
  sum.udp_up += udp_up.get();
  sum.udp_down += udp_down.get();
  sum.udp_dropped += udp_dropped.get();
  sum.udp_sessions += udp_sessions.get();
  sum.udp_evicted += udp_evicted.get();
  sum.upstream_failures += upstream_failures.get();
  sum.records_lost += records_lost.get();
  sum.retries += retries.get();
  sum.retries_refused += retries_refused.get();
  std::lock_guard lock{mappings_mutex_};
  for (const auto& [id, count] : mappings_) {
    auto& total = sum.mappings[id];
    total.allowed += count.allowed;
    total.denied += count.denied;
    total.observed += count.observed;
  }
  for (const auto& [which, count] : limited_)
    sum.limited[which] += count;
}

} // namespace marchproxy::relay

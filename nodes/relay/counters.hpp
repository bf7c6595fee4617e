// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/limiting/admission.hpp"
#include "nodes/net/resolver.hpp"
#include "nodes/relay/decision.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <numeric>
#include <unordered_map>
#include <utility>

namespace marchproxy::relay {

struct mapping_count {
  std::uint64_t allowed = 0;
  std::uint64_t denied = 0;
  std::uint64_t observed = 0; ///< let through, and would have been refused

  bool operator==(const mapping_count&) const = default;
};

/// What limits refused, by whose limit and which: as many as the rulesets had.
using limited_counts = std::map<std::pair<limiting::subject, limiting::limit_kind>, std::uint64_t>;

/// Of names, as net::lookup_counters, and what is kept of them now.
struct lookup_totals {
  std::uint64_t hosts = 0;
  std::uint64_t leased = 0;
  std::uint64_t joined = 0;
  std::uint64_t asked = 0;
  std::uint64_t stale = 0;
  std::uint64_t failures = 0;
  std::uint64_t leases = 0;  ///< names whose addresses are known now
  std::uint64_t evicted = 0; ///< names that went for others

  void add(const net::lookup_counters& of_one) noexcept;
};

/// A copy of all counters, summed over workers.
struct relay_totals {
  std::array<std::uint64_t, entry_count> flows{};    ///< by entry
  std::array<std::uint64_t, entry_count> active{};   ///< by entry; now
  std::array<std::uint64_t, reason_count> reasons{}; ///< flows by reason, allowed and refused
  /// Flows that would have been refused, but were only observed: by what for.
  std::array<std::uint64_t, reason_count> observed{};
  [[nodiscard]] std::uint64_t all_observed() const noexcept {
    return std::accumulate(observed.begin(), observed.end(), std::uint64_t{0});
  }
  std::uint64_t connections = 0; ///< accepted
  std::uint64_t open = 0;        ///< accepted and not yet closed
  std::uint64_t resting = 0;     ///< of these, HTTP clients given up to rest
  std::uint64_t over_limit = 0;  ///< closed at once: the worker was full
  std::uint64_t bad_proxy_headers =
    0;                           ///< closed: from a load balancer, without a whole PROXY header
  std::uint64_t tls_full = 0;    ///< handshakes with clients that came to their end
  std::uint64_t tls_resumed = 0; ///< of earlier sessions
  std::uint64_t tls_failed = 0;
  std::uint64_t allowed = 0;
  std::uint64_t denied = 0; ///< refused by policy
  std::uint64_t auth_successes = 0;
  std::uint64_t auth_failures = 0;
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  std::uint64_t udp_up = 0; ///< datagrams, client to upstream
  std::uint64_t udp_down = 0;
  std::uint64_t udp_dropped = 0;  ///< refused, malformed, of strangers, or too many at once
  std::uint64_t udp_sessions = 0; ///< of UDP listeners and the transparent entry; now
  std::uint64_t udp_evicted = 0;  ///< of these, ended early to make room for others
  std::uint64_t upstream_failures = 0;
  std::uint64_t records_lost = 0;
  std::uint64_t retries = 0; ///< other backends that ingress flows went on to after a failure
  std::uint64_t retries_refused = 0; ///< for the budget of their route
  std::unordered_map<mapping_id, mapping_count> mappings;
  limited_counts limited;
  lookup_totals lookups;
};

using net::counter;

/// Counters of one worker.
class alignas(64) worker_counters {
public:
  std::array<counter, entry_count> flows;
  std::array<counter, entry_count> active;
  std::array<counter, reason_count> reasons;
  std::array<counter, reason_count> observed;
  counter connections;
  counter open;
  counter resting;
  counter over_limit;
  counter bad_proxy_headers;
  counter tls_full;
  counter tls_resumed;
  counter tls_failed;
  counter allowed;
  counter denied;
  counter auth_successes;
  counter auth_failures;
  counter bytes_up;
  counter bytes_down;
  counter udp_up;
  counter udp_down;
  counter udp_dropped;
  counter udp_sessions;
  counter udp_evicted;
  counter upstream_failures;
  counter records_lost;
  counter retries;
  counter retries_refused;

  /// Once per verdict that a mapping decided: @p what of its counts goes up. The lock is this
  /// worker's own and only readers of totals contend for it.
  void count_mapping(mapping_id mapping, std::uint64_t mapping_count::*what);
  /// Once per flow or datagram that a limit refused; locks as count_mapping().
  void count_limited(const limiting::refused& limit);
  void add_to(relay_totals& sum) const;

private:
  mutable std::mutex mappings_mutex_; ///< of both maps
  std::unordered_map<mapping_id, mapping_count> mappings_;
  limited_counts limited_;
};

} // namespace marchproxy::relay

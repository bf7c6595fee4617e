// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/ip.hpp"
#include "nodes/net/counter.hpp"
#include "nodes/net/event_loop.hpp"
#include "nodes/net/lease_store.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::net {

struct resolver_options {
  std::string hosts_path = "/etc/hosts";
  std::string servers; ///< `address:port` comma list; empty: those of resolv.conf
  std::chrono::milliseconds timeout{2000}; ///< of one try
  int tries = 2;
  /// What resolvers share; those made from one copy of these options share one store.
  std::shared_ptr<lease_store> leases = std::make_shared<lease_store>(lease_terms{});
};

struct resolved {
  std::vector<ip_address> addresses;    ///< 1 to lease::most_addresses; more in a hosts file
  std::optional<time_point> lease_ends; ///< of the TTL that a name server gave; earlier than now: a
                                        ///< stale lease serves. None: of the hosts file
};

/// not_found: the name has no address. unavailable or timeout: no server gave an answer.
using resolve_result = result<resolved>;

/// Each lookup is one of the first four. Written by the resolver's thread, read by any.
struct lookup_counters {
  counter hosts;    ///< answered by the hosts file
  counter leased;   ///< by a lease, or by a name's having had no address a moment ago
  counter joined;   ///< waited for another's question
  counter asked;    ///< asked a name server
  counter stale;    ///< of all, answered by a lease past its TTL, since no server answered
  counter failures; ///< questions that no server answered
};

class resolver;

/// A question under way. Destroying it means that nobody wants the answer.
class resolution {
public:
  resolution() = default;
  resolution(const resolution&) = delete;
  resolution& operator=(const resolution&) = delete;
  ~resolution() { cancel(); }
  void cancel() noexcept;

private:
  friend class resolver;
  struct state;
  std::shared_ptr<state> state_;
};

/// Names to addresses, A and AAAA. One per loop, used by the loop's thread. The hosts file wins;
/// then a lease that has not ended; then the DNS servers are asked for exactly the name given, once
/// for all who want it at the time. A lease says nothing about what is allowed: who connects has
/// judged the address.
class resolver {
public:
  /// @errors invalid_argument for servers that do not parse; unavailable when c-ares cannot start
  [[nodiscard]] static result<std::unique_ptr<resolver>> create(event_loop& loop,
                                                                resolver_options options);
  resolver(const resolver&) = delete;
  resolver& operator=(const resolver&) = delete;
  ~resolver();

  /// @param name  a host name in lower case without final dot
  /// @param into  of an earlier question, which it cancels; @p done is called in a later turn,
  /// never from here
  void resolve(std::string_view name, resolution& into, std::function<void(resolve_result)> done);

  [[nodiscard]] const lookup_counters& counters() const noexcept;

private:
  struct channel;
  explicit resolver(event_loop& loop, resolver_options options);
  std::unique_ptr<channel> channel_;
};

} // namespace marchproxy::net

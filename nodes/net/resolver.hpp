// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/ip.hpp"
#include "nodes/net/event_loop.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::net {

struct resolver_options {
  std::string hosts_path = "/etc/hosts";
  std::string servers; ///< `address:port` comma list; empty: those of resolv.conf
  std::chrono::milliseconds timeout{2000}; ///< of one try
  int tries = 2;
};

/// not_found: the name has no address. unavailable or timeout: no server gave an answer.
using resolve_result = result<std::vector<ip_address>>;

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
/// then the DNS servers are asked for exactly the name given.
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

private:
  struct channel;
  explicit resolver(event_loop& loop, resolver_options options);
  std::unique_ptr<channel> channel_;
};

} // namespace marchproxy::net

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/ip.hpp"
#include "actors/base/strong_id.hpp"
#include "nodes/net/event_loop.hpp"
#include "nodes/relay/stream.hpp"
#include "nodes/routing/backend_tls.hpp"

#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::relay {

/// A connection to an origin that carries no request, and what it was made for.
struct parked_upstream {
  ip_address client;   ///< for whom; nobody else gets it
  std::string target;  ///< `host:port` as asked for
  ip_address address;  ///< that was judged
  service_id identity; ///< whose credentials held; none: none were needed
  std::shared_ptr<const routing::backend_tls> tls; ///< how it was verified; null: plain
  std::unique_ptr<stream> link;

  /// Whether it was made as one to @p other is made. @param other  null: plain
  [[nodiscard]] bool is_secured_as(const routing::backend_tls* other) const noexcept {
    return tls && other != nullptr ? *tls == *other : !tls && other == nullptr;
  }
};

/// Connections that outlive the client's own, for its next one to the same target. One per worker.
/// Bounded: the oldest goes first, and none stays longer than the idle time. Who takes one judges
/// it anew; an origin that closes or speaks unasked ends it.
class upstream_pool {
public:
  upstream_pool(net::event_loop& loop, std::size_t most, std::chrono::milliseconds idle) noexcept;
  upstream_pool(const upstream_pool&) = delete;
  upstream_pool& operator=(const upstream_pool&) = delete;
  ~upstream_pool() = default;

  void put(parked_upstream u);
  /// The one parked last. Its stream is to be given an owner at once.
  [[nodiscard]] std::optional<parked_upstream>
  take(const ip_address& client, std::string_view target, const routing::backend_tls* tls);
  /// Closes it. It may be on the call stack, so it is destroyed later.
  void discard(std::unique_ptr<stream> link);
  void clear() noexcept;
  /// Destroys what was closed; not from a callback.
  void bury() noexcept { dead_.clear(); }

private:
  struct entry final : stream::owner {
    void on_ready() override;

    upstream_pool* of = nullptr;
    parked_upstream what;
    net::clock::time_point until;
    std::list<entry>::iterator self;
  };
  void discard(std::list<entry>::iterator which) noexcept;
  void discard_expired();

  net::event_loop& loop_;
  std::size_t most_;
  std::chrono::milliseconds idle_;
  std::list<entry> parked_; ///< oldest first
  std::list<entry> dead_;
  net::timer expiry_;
};

} // namespace marchproxy::relay

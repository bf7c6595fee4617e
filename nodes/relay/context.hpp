// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/datagram.hpp"
#include "nodes/net/datagram_runs.hpp"
#include "nodes/net/datagram_socket.hpp"
#include "nodes/net/event_loop.hpp"
#include "nodes/net/resolver.hpp"
#include "nodes/relay/counters.hpp"
#include "nodes/relay/judge.hpp"
#include "nodes/relay/pump.hpp"
#include "nodes/relay/record_ring.hpp"
#include "nodes/relay/settings.hpp"
#include "nodes/relay/snapshot.hpp"
#include "nodes/relay/upstream_pool.hpp"
#include "nodes/wire/http1.hpp"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace marchproxy::relay {

class context;

/// A client's connection in one of its lives (session, tunnel). Owned by its worker's context.
class connection : public net::list_node {
public:
  explicit connection(context& c) noexcept : context_(c) {}
  virtual ~connection() = default;
  virtual void start() = 0;
  /// The snapshot changed: end if the new one refuses what this carries.
  virtual void on_new_revision() = 0;
  /// The worker drains: end if nothing is under way.
  virtual void on_drain() = 0;
  /// End now.
  virtual void abort() = 0;

protected:
  [[nodiscard]] context& ctx() const noexcept { return context_; }

private:
  context& context_;
};

/// What the connections of one worker share. Belongs to the worker's thread.
class context {
public:
  context(const relay_settings& s,
          net::event_loop& l,
          net::resolver& r,
          worker_counters& c,
          record_ring<decision_record>& ring,
          std::uint64_t request_seed) noexcept
    : settings(s),
      loop(l),
      resolver(r),
      counters(c),
      upstreams(l, s.max_idle_upstreams, s.upstream_idle_timeout),
      udp_offload(s.udp_offload ? net::probe_udp_offload() : net::udp_offload{}),
      ring_(ring),
      next_request_(request_seed) {}
  context(const context&) = delete;
  context& operator=(const context&) = delete;
  ~context();

  /// Takes @p c in and starts it.
  void adopt(std::unique_ptr<connection> c);
  /// @p c is done; it is destroyed at the end of the turn.
  void retire(connection& c);
  void bury() noexcept {
    dead_.clear();
    upstreams.bury();
  }
  /// Calls @p visit for each connection; it may retire that one.
  template <class Visit>
  void for_each(Visit visit) {
    for (auto* node = live_.next(); node != &live_;) {
      auto& c = static_cast<connection&>(*node);
      node = node->next();
      visit(c);
    }
  }
  [[nodiscard]] bool empty() const noexcept { return !live_.linked(); }

  /// A record for a flow that begins now.
  [[nodiscard]] decision_record begin_flow(entry via, const net::endpoint& source);
  /// Enters the verdict into the record and the counters.
  void judged(decision_record& record, const judgement& j);
  /// Enters that an allowed flow goes on although @p j, of what came to light since, refuses it.
  void observed(decision_record& record, const judgement& j);
  /// Enters the outcome of a flow that was never judged, or that was allowed and failed.
  void failed(decision_record& record, reason why);
  /// Hands the record on. The flow is over.
  void end_flow(decision_record&& record);
  /// True once after records were handed on.
  [[nodiscard]] bool take_emitted() noexcept { return std::exchange(emitted_, false); }

  const relay_settings& settings;
  net::event_loop& loop;
  net::resolver& resolver;
  worker_counters& counters;
  relay::pools pools;
  upstream_pool upstreams;
  /// Made when the first socket wants it.
  [[nodiscard]] net::datagram_reader& datagrams() {
    if (!datagrams_)
      datagrams_ = std::make_unique<net::datagram_reader>();
    return *datagrams_;
  }
  /// One for all, since no one's datagrams wait.
  [[nodiscard]] net::run_writer& runs() {
    if (!runs_)
      runs_ = std::make_unique<net::run_writer>();
    return *runs_;
  }
  /// What the kernel can, as far as the settings let it be used.
  const net::udp_offload udp_offload;
  std::shared_ptr<const policy_snapshot> snapshot; ///< of this turn
  bool draining = false;
  bool patient = false; ///< while draining: clients between requests may still ask once
  [[nodiscard]] bool ends_idle_clients() const noexcept { return draining && !patient; }
  // Heads are parsed one at a time and what is wanted of them is copied, so one of each serves all
  // connections.
  wire::request_head request;
  wire::response_head response;

private:
  record_ring<decision_record>& ring_;
  std::uint64_t next_request_;
  bool emitted_ = false;
  std::unique_ptr<net::datagram_reader> datagrams_;
  std::unique_ptr<net::run_writer> runs_;
  net::list_node live_;
  std::vector<std::unique_ptr<connection>> dead_;
};

} // namespace marchproxy::relay

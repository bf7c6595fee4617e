// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/context.hpp"
#include "nodes/relay/route.hpp"

#include <memory>
#include <optional>
#include <string>

namespace marchproxy::relay {

/// What every way in has in common before bytes are relayed: the client's socket, at most one flow
/// at a time with its route, a deadline, and a reply that is being written.
class session : public connection, public stream::owner {
public:
  session(context& c, std::unique_ptr<stream> client, const net::endpoint& peer, buffer first);
  ~session() override = default;

  void start() override;
  void on_new_revision() override {} // a route judges again by itself
  void on_drain() override {}
  void abort() override;

protected:
  /// Does whatever can be done now.
  virtual void advance() = 0;
  virtual void on_routed(route::outcome o) = 0;
  virtual void on_deadline() = 0;

  /// Begins a flow and looks for its way; on_routed() follows.
  void begin_flow(entry via, const wire::host_port& target);
  /// @param prefer  of the addresses of a name, to be tried first
  void find_route(const wire::host_port& target,
                  const identity::presented& shown,
                  const std::optional<ip_address>& prefer = {});
  /// As find_route(), but what comes out is not entered into the flow yet: another may follow.
  /// @param d   source, greeting and what it wants of limits are this session's
  /// @param as  how the target hears of the client before anything else
  void seek_route(route::demand d, model::proxy_header as = model::proxy_header::off);
  /// Enters the outcome of the way that the flow takes into its record and the counters.
  void enter(route::outcome& o);
  /// Of a flow that begins now, or began when the client came.
  [[nodiscard]] virtual decision_record new_record(entry via) {
    return ctx().begin_flow(via, peer_);
  }
  /// What the flow at hand asks of its limits when it needs a connection.
  [[nodiscard]] virtual limiting::demand asks_for() const noexcept { return {}; }
  /// Where the flow goes, when that is another place than was asked for.
  void aim(const wire::host_port& target);
  void end_flow();
  /// This session ends, and another connection goes on with its client.
  void retire();
  /// The flow becomes a tunnel and this session ends.
  /// @param backend  counts as busy as long as the tunnel lives
  void become_tunnel(std::unique_ptr<stream> upstream,
                     buffer early,
                     routing::endpoint::use backend = {});
  /// Writes what is left of reply_. @return moved when nothing is left
  [[nodiscard]] io_state flush();
  void close();
  void set_deadline(std::chrono::milliseconds after) { ctx().loop.arm(deadline_, after); }
  [[nodiscard]] bool closed() const noexcept { return closed_; }

  std::unique_ptr<stream> client_;
  net::endpoint peer_;
  buffer in_; ///< bytes from the client that were not used yet
  std::string reply_;
  std::optional<decision_record> flow_;
  limiting::admission admitted_;            ///< of the flow that has an upstream
  std::optional<limiting::refused> beyond_; ///< why the flow was refused, where it is a limit
  route route_;
  net::timer deadline_;

private:
  void on_ready() override;
  [[nodiscard]] std::string introduction(model::proxy_header as) const;
  bool closed_ = false;
};

/// Reads the first byte and becomes the session that it belongs to: 5 is SOCKS, anything else HTTP.
class sniff_session final : public session {
public:
  using session::session;
  void start() override;
  void on_drain() override {
    if (ctx().ends_idle_clients())
      close();
  }

private:
  void advance() override;
  void on_routed(route::outcome) override {}
  void on_deadline() override { close(); }
};

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/event_loop.hpp"
#include "nodes/relay/counters.hpp"
#include "nodes/relay/decision.hpp"
#include "nodes/relay/settings.hpp"
#include "nodes/relay/snapshot.hpp"
#include "nodes/relay/socket_source.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace marchproxy::relay {

class worker;

/// The user-space tier of a proxy. Egress: an explicit proxy (CONNECT, absolute form, SOCKS5 on one
/// port) and a listener for each service that asks for one; ingress: the ports of the snapshot's
/// routes. Judged by the snapshot in force; until one is published everything is refused.
class relay_server {
public:
  struct observers {
    /// Each flow that ended, in a thread of its own: slow work here loses records (counted), never
    /// slows a flow.
    std::function<void(const decision_record&)> on_record = [](const decision_record&) {};
    /// A listener that could not be opened, and the like. Called in worker threads.
    std::function<void(const std::string&)> on_problem = [](const std::string&) {};
  };
  /// @param inherited  listening sockets of the process before, used before new ones are made; if
  /// there are any, nothing
  ///                   is accepted before the first snapshot
  /// @errors as net::listen_tcp for the proxy's and the transparent ports; unavailable when loops
  /// or resolvers cannot be made; unsupported for an io_uring that was insisted on
  [[nodiscard]] static result<std::unique_ptr<relay_server>>
  start(relay_settings settings, observers who, std::vector<net::unique_fd> inherited = {});
  relay_server(const relay_server&) = delete;
  relay_server& operator=(const relay_server&) = delete;
  /// stop(0).
  ~relay_server();

  /// Puts @p next in force: each worker turns to it, whole, in its next turn, opens and closes
  /// listeners, and cuts the tunnels that it refuses. Any thread.
  void publish(std::shared_ptr<const policy_snapshot> next);
  /// True when no worker judges by an older snapshot than the last one published. Any thread.
  [[nodiscard]] bool in_force() const noexcept;

  [[nodiscard]] std::uint16_t proxy_port() const noexcept { return port_; }
  /// How the workers wait, and why not by io_uring (empty: they do, or were told not to).
  [[nodiscard]] net::loop_backend waits_by() const noexcept { return waits_by_; }
  [[nodiscard]] const std::string& no_ring_because() const noexcept { return no_ring_because_; }
  /// Any thread.
  [[nodiscard]] relay_totals totals() const;
  /// Closes inherited sockets that the snapshot in force has no use for.
  void close_inherited() { sockets_.close_rest(); }
  /// Duplicates of all listening sockets, for the process after. Any thread, before stop().
  [[nodiscard]] std::vector<net::unique_fd> listening();
  /// Stops accepting and lets what is under way go on, up to @p limit: another process accepts now.
  /// Clients between requests are told with the next answer that they have to connect again.
  void retire(std::chrono::milliseconds limit);
  /// After retire(): nothing is under way any more. Any thread.
  [[nodiscard]] bool drained() const noexcept;
  /// Stops accepting, waits up to @p grace for what is under way, closes the rest, hands out the
  /// last records.
  void stop(std::chrono::milliseconds grace);

private:
  relay_server(relay_settings settings, observers who, std::vector<net::unique_fd> inherited);
  [[nodiscard]] result<void> open();
  [[nodiscard]] result<void> choose_backend();
  using listen_on = result<net::unique_fd> (socket_source::*)(const net::endpoint&, bool);
  /// A socket for each of the transparent entry's addresses.
  [[nodiscard]] result<std::vector<net::unique_fd>> listen_transparent(listen_on how);
  void drain_records();

  relay_settings settings_;
  observers observers_;
  socket_source sockets_;
  snapshot_holder snapshots_;
  std::uint16_t port_ = 0;
  net::loop_backend waits_by_ = net::loop_backend::epoll;
  std::string no_ring_because_;
  std::vector<std::unique_ptr<worker>> workers_;
  std::atomic<std::uint32_t> records_signal_{0};
  std::atomic<bool> records_end_{false};
  std::thread records_thread_;
  bool stopped_ = false;
};

} // namespace marchproxy::relay

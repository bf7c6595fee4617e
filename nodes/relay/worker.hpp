// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/listener.hpp"
#include "nodes/relay/context.hpp"
#include "nodes/relay/header_session.hpp"
#include "nodes/relay/health_checker.hpp"
#include "nodes/relay/service_listeners.hpp"
#include "nodes/relay/udp_listeners.hpp"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace marchproxy::relay {

/// One thread with one loop and everything in it. Shares with other workers only the settings and
/// the snapshot holder.
class worker {
public:
  struct plan {
    const relay_settings& settings;
    const snapshot_holder& snapshots;
    socket_source& sockets;           ///< of services' listeners
    problem_sink problem;             ///< called in the worker's thread
    std::function<void()> on_records; ///< records wait in the ring; called in the worker's thread
    net::unique_fd proxy; ///< the listening socket of the explicit proxy; none for ingress
    std::vector<net::unique_fd> transparent;     ///< those of redirected connections
    std::vector<net::unique_fd> transparent_udp; ///< those of datagrams that TPROXY diverts
    net::loop_backend waits_by = net::loop_backend::epoll;
    bool waits = false;     ///< accepts from the first snapshot on, not before
    std::uint64_t seed = 0; ///< of request ids
    bool speaks = false;    ///< tells problems that all workers see alike
  };
  [[nodiscard]] static result<std::unique_ptr<worker>> start(plan p);
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;
  /// Ends at once unless drain() came before, and joins.
  ~worker();

  /// Looks at the snapshot holder soon. Any thread.
  void wake() {
    loop_->post([] {});
  }
  /// Stops accepting; ends when nothing is under way, or after @p grace. Again: the new terms hold.
  /// Any thread.
  /// @param patient  clients between requests are not cut off: their next answer closes
  void drain(std::chrono::milliseconds grace, bool patient);
  /// True when it has ended. Any thread.
  [[nodiscard]] bool ended() const noexcept { return ended_.load(std::memory_order_acquire); }
  /// Duplicates of the sockets that it listens on. Any thread but its own.
  [[nodiscard]] std::vector<net::unique_fd> listening();
  void join();

  void add_to(relay_totals& sum) const {
    counters_.add_to(sum);
    sum.lookups.add(resolver_->counters());
  }
  [[nodiscard]] record_ring<decision_record>& records() noexcept { return ring_; }
  /// The holder's version that verdicts come from now.
  [[nodiscard]] std::uint64_t version_in_force() const noexcept {
    return in_force_.load(std::memory_order_acquire);
  }

private:
  worker(plan p, std::unique_ptr<net::event_loop> loop, std::unique_ptr<net::resolver> resolver);
  [[nodiscard]] result<void> open_listeners();
  void begin_turn();
  void end_turn();
  void follow_revision();
  void follow_services(const model::ruleset& rules, const problem_sink& problem);
  [[nodiscard]] bool admit();
  [[nodiscard]] bool speaks_proxy_protocol(const ip_address& peer) const;
  void take_redirected_client(net::accepted a, const net::endpoint& listening);
  /// @param may_say_who  a load balancer's connection begins with a PROXY header here
  void take_client(net::accepted a, arrival how, bool may_say_who = true);
  void begin_drain(std::chrono::milliseconds grace, bool patient);

  plan plan_;
  std::unique_ptr<net::event_loop> loop_;
  std::unique_ptr<net::resolver> resolver_;
  worker_counters counters_;
  record_ring<decision_record> ring_;
  context context_;
  std::uint64_t version_ = 0;
  std::atomic<std::uint64_t> in_force_{0};
  std::atomic<bool> ended_{false};
  std::uint16_t proxy_port_ = 0;
  std::unique_ptr<net::listener> proxy_;
  std::vector<std::unique_ptr<net::listener>> transparent_;
  std::vector<udp_listener*> transparent_udp_; ///< the context's
  service_listeners services_;
  udp_listeners udp_services_;
  health_checker health_; ///< asks in the worker that speaks only
  net::timer grace_;
  std::thread thread_;
};

} // namespace marchproxy::relay

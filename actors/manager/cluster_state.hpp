// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// The cluster actor's inside, split over cluster.cpp (life and leases), cluster_rollout.cpp and
// cluster_bus.cpp.

#include "actors/bus/actor_error.hpp"
#include "actors/manager/cluster.hpp"
#include "actors/manager/publication.hpp"

#include <caf/response_promise.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace marchproxy::manager {

class cluster_state {
public:
  static inline const char* name = "cluster";
  using pointer = cluster_actor::stateful_pointer<cluster_state>;

  void start(pointer self, cluster_options options, bus::gateway_actor gateway);

  void look_for_revision();
  [[nodiscard]] caf::result<rollout_report> await(const await_rollout& wanted);
  void forget(const std::string& key);
  [[nodiscard]] caf::result<outbox_sent> publish(const outbox_batch& batch);
  void tick();
  [[nodiscard]] cluster_link link() const { return {up_, link_reason_}; }
  void on_link(const bus::bus_link& link);
  void on_message(const bus::message& m);

private:
  struct waiter {
    marchproxy::revision revision;
    caf::typed_response_promise<rollout_report> promise;
  };
  /// A row after the other, so that the stream keeps the store's order.
  struct outbox_run {
    std::vector<storage::outbox_row> rows;
    std::size_t next = 0;
    outbox_sent sent;
    caf::typed_response_promise<outbox_sent> promise;
  };

  // cluster_bus.cpp
  void rebuild_streams();
  void set_up_streams();
  void subscribe_all();
  void on_enrol(const bus::message& m);
  void on_ack(const bus::message& m);
  void on_status(const bus::message& m);
  void on_request(const bus::message& m);
  void publish_next(const std::shared_ptr<outbox_run>& run);
  void say(std::string subject, std::string data);

  // cluster_rollout.cpp
  void begin(std::shared_ptr<const publication> what);
  void store_chunk(std::shared_ptr<const publication> what, std::size_t index);
  void give_up(marchproxy::revision revision, const std::string& reason);
  void step(const rollout::event& e);
  void carry_out(const rollout::announce_prepare& e);
  void carry_out(const rollout::store_decision& e);
  void carry_out(const rollout::announce_commit& e);
  void carry_out(const rollout::announce_abort& e);
  void carry_out(const rollout::finished& e);
  void carry_out(const rollout::postponed& e);
  void publish_active(const std::shared_ptr<const publication>& what);
  void republish_committed();
  void answer_waiters(const rollout_report& report);
  [[nodiscard]] std::set<rollout::proxy_key> alive() const;

  // Blocking work off this thread, its result back on it.
  template <class T>
  void work(std::function<T()> run, std::function<void(T)> then) {
    have_done<T>(self_, worker_, std::chrono::seconds{60}, std::move(run), std::move(then));
  }
  [[nodiscard]] storage::change_context by_proxy(const std::string& key,
                                                 const std::string& proxy) const;
  [[nodiscard]] static storage::change_context by_system();

  pointer self_ = nullptr;
  cluster_options options_;
  bus::gateway_actor gateway_;
  worker_actor worker_; ///< store and compiler
  worker_actor desk_;   ///< requests of automation, which wait for rollouts
  rollout::coordinator coordinator_;
  std::shared_ptr<const publication> current_; ///< being rolled out
  bool looking_ = false;                       ///< a look for a newer revision is under way
  bool look_again_ = false;                    ///< and another one is wanted
  marchproxy::revision settled_;               ///< newest revision whose rollout has ended
  rollout_report last_report_;
  std::vector<waiter> waiters_;
  std::map<std::string, time_point> leases_; ///< proxy key -> last heard of
  unsigned ticks_ = 0;
  bool up_ = false;
  bool rebuild_ = false; ///< the bus lacks a stream or the decision record
  std::string link_reason_ = "not connected yet";
};

} // namespace marchproxy::manager

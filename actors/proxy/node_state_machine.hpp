// SPDX-License-Identifier: AGPL-3.0-only
// Private to the room: the node actor's state, shared by node.cpp and node_revisions.cpp.
#pragma once

#include "actors/proxy/node.hpp"
#include "actors/proxy/workers.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace marchproxy::proxy {

constexpr auto request_timeout = std::chrono::seconds{3};
constexpr std::chrono::milliseconds first_join_retry{200};

/// The JWT as the gateway's thread asks for it.
class jwt_holder {
public:
  void set(std::string jwt) {
    std::lock_guard hold{lock_};
    jwt_ = std::move(jwt);
  }
  [[nodiscard]] std::string get() const {
    std::lock_guard hold{lock_};
    return jwt_;
  }

private:
  mutable std::mutex lock_;
  std::string jwt_;
};

class ruleset_fetch;

/// What the node actor knows and does; node.cpp has the bus, node_revisions.cpp the revisions.
class node_state_machine {
public:
  static inline const char* name = "proxy-node";
  using pointer = node_actor::stateful_pointer<node_state_machine>;

  void start(pointer self,
             node_options options,
             std::shared_ptr<revision_engine> engine,
             counters_source counters);
  void join();
  void poll();
  void report();
  void tell_verdicts();
  void renew(std::uint64_t enrolment);
  void on_link(const bus::bus_link& link);
  void on_signal(const bus::message& m);
  [[nodiscard]] node_state snapshot() const;

private:
  void on_enrolled(const std::string& reply, bool renewal);
  void open_gateway();
  void retry_join(const error& why);
  void step(const rollout::applier_event& e);
  void carry_out(const rollout::stage& e);
  void carry_out(const rollout::flip& e);
  void carry_out(const rollout::drop_staged& e);
  void carry_out(const rollout::send_ack& e);
  void fetch_next(const std::shared_ptr<ruleset_fetch>& f);
  void give_up_fetch(const std::shared_ptr<ruleset_fetch>& f, const error& why);
  void stage_fetched(const std::shared_ptr<ruleset_fetch>& f);
  [[nodiscard]] std::string enroll_payload() const;
  void publish(std::string subject, std::string data);

  pointer self_ = nullptr;
  node_options options_;
  std::shared_ptr<revision_engine> engine_;
  counters_source counters_;
  stager_actor stager_;
  joiner_actor joiner_;
  bus::gateway_actor gateway_;
  std::shared_ptr<jwt_holder> jwt_ = std::make_shared<jwt_holder>();
  std::optional<bus::nkey> user_;
  std::optional<policy_authority> authority_;
  std::optional<rollout::applier> applier_; ///< since start()
  std::shared_ptr<ruleset_fetch>
    fetching_; ///< or being staged; what replaces it makes its answers void
  std::uint64_t enrolments_ = 0;
  bool telling_ = false; ///< verdicts are on their way to the gateway
  std::chrono::milliseconds join_retry_ = first_join_retry;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  node_state state_;
};

} // namespace marchproxy::proxy

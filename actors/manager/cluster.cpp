// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/manager/cluster.hpp"

#include "actors/manager/cluster_state.hpp"

#include <caf/send.hpp>

#include <spdlog/spdlog.h>

#include <algorithm>

namespace marchproxy::manager {

namespace {

constexpr auto tick_interval = std::chrono::milliseconds{250};
constexpr unsigned looks_every = 8;     ///< ticks
constexpr unsigned rebuilds_every = 20; ///< ticks

cluster_actor::behavior_type cluster(cluster_actor::stateful_pointer<cluster_state> self,
                                     const cluster_options& options,
                                     const bus::gateway_actor& gateway) {
  self->state.start(self, options, gateway);
  return {
    [self](revision_created) { self->state.look_for_revision(); },
    [self](const await_rollout& wanted) { return self->state.await(wanted); },
    [self](const proxy_gone& gone) { self->state.forget(gone.key); },
    [self](const outbox_batch& batch) { return self->state.publish(batch); },
    [self](cluster_tick) {
      self->state.tick();
      self->delayed_send(self, tick_interval, cluster_tick{});
    },
    [self](get_cluster_link) { return self->state.link(); },
    [self](const bus::bus_message& m) { self->state.on_message(m.content); },
    [self](const bus::bus_link& link) { self->state.on_link(link); },
  };
}

} // namespace

result<cluster_actor> spawn_cluster(caf::actor_system& system, cluster_options options) {
  auto login = options.trust->manager_login(options.id);
  if (!login)
    return tl::unexpected(login.error());
  auto gateway = bus::spawn_gateway(system, std::move(*login));
  if (!gateway)
    return tl::unexpected(gateway.error());
  return system.spawn(cluster, std::move(options), *gateway);
}

void cluster_state::start(pointer self, cluster_options options, bus::gateway_actor gateway) {
  self_ = self;
  options_ = std::move(options);
  gateway_ = std::move(gateway);
  worker_ = spawn_worker(self->system());
  desk_ = spawn_worker(self->system());
  coordinator_ = rollout::coordinator{options_.limits};
  self->set_exit_handler([this](caf::exit_msg& m) {
    self_->send_exit(gateway_, m.reason);
    self_->send_exit(worker_, m.reason);
    self_->send_exit(desk_, m.reason);
    self_->quit(m.reason);
  });
  auto me = caf::actor_cast<caf::actor>(self);
  self->send(gateway_, bus::bus_watch{me});
  if (options_.id)
    subscribe_all();
  self->send(self, cluster_tick{});
  if (!options_.id)
    return;
  // Proxies that were heard of shortly before a restart are expected from the first rollout on.
  work<result<std::vector<storage::proxy_record>>>(
    [store = options_.store, id = options_.id] { return store->proxies(id); },
    [this](const result<std::vector<storage::proxy_record>>& known) {
      if (!known)
        return spdlog::error("cluster '{}': {}", options_.name, to_string(known.error()));
      for (const auto& p : *known)
        if (p.state == storage::proxy_state::joined || p.state == storage::proxy_state::active)
          leases_.try_emplace(p.nkey, p.last_seen);
      look_for_revision();
    });
}

void cluster_state::forget(const std::string& key) {
  leases_.erase(key);
  step(rollout::left{key});
}

std::set<rollout::proxy_key> cluster_state::alive() const {
  std::set<rollout::proxy_key> out;
  auto since = wall_now() - options_.lease;
  for (const auto& [key, heard] : leases_)
    if (heard >= since)
      out.insert(key);
  return out;
}

void cluster_state::tick() {
  auto now = wall_now();
  auto since = now - options_.lease;
  std::vector<std::string> gone;
  for (const auto& [key, heard] : leases_)
    if (heard < since)
      gone.push_back(key);
  for (const auto& key : gone) {
    spdlog::warn("cluster '{}': proxy {} is silent; no longer waiting for it", options_.name, key);
    forget(key);
  }
  if (!gone.empty())
    work<result<std::vector<storage::proxy_record>>>(
      [store = options_.store, since] { return store->mark_stale(since); },
      [](const result<std::vector<storage::proxy_record>>& marked) {
        if (!marked)
          spdlog::error("marking stale proxies: {}", to_string(marked.error()));
      });
  step(rollout::tick{});
  ++ticks_;
  if (rebuild_ && up_ && ticks_ % rebuilds_every == 0)
    rebuild_streams();
  // Another manager, a lost message or an attempt that met silence may have left one.
  if (options_.id && ticks_ % looks_every == 0 && !coordinator_.busy())
    look_for_revision();
}

caf::result<rollout_report> cluster_state::await(const await_rollout& wanted) {
  if (settled_ >= wanted.revision)
    return last_report_;
  auto promise = self_->make_response_promise<rollout_report>();
  waiters_.push_back({wanted.revision, promise});
  look_for_revision();
  return promise;
}

void cluster_state::answer_waiters(const rollout_report& report) {
  settled_ = std::max(settled_, report.revision);
  last_report_ = report;
  auto done = std::stable_partition(waiters_.begin(), waiters_.end(),
                                    [&](const waiter& w) { return w.revision > report.revision; });
  for (auto at = done; at != waiters_.end(); ++at)
    at->promise.deliver(report);
  waiters_.erase(done, waiters_.end());
}

storage::change_context cluster_state::by_proxy(const std::string& key,
                                                const std::string& proxy) const {
  storage::change_context by;
  by.actor_kind = "proxy";
  by.actor_id = key;
  by.actor_name = proxy;
  by.source = "bus";
  by.at = wall_now();
  return by;
}

storage::change_context cluster_state::by_system() {
  storage::change_context by;
  by.actor_name = "manager";
  by.at = wall_now();
  return by;
}

} // namespace marchproxy::manager

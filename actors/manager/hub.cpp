// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/manager/hub.hpp"

#include "actors/bus/actor_error.hpp"

#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <spdlog/spdlog.h>

#include <optional>
#include <vector>

namespace marchproxy::manager {

namespace {

constexpr auto outbox_interval = std::chrono::milliseconds{300};
constexpr auto keep_sent_for = std::chrono::hours{24 * 7}; ///< sent outbox rows, idempotency keys
constexpr std::size_t outbox_rows = 256;

class hub_state {
public:
  static inline const char* name = "hub";
  using pointer = hub_actor::stateful_pointer<hub_state>;

  void start(pointer self, hub_options options);
  void add(cluster_id id, const std::string& cluster_name);
  void remove(cluster_id id);
  void changed(cluster_id id);
  [[nodiscard]] caf::result<rollout_report> await(const cluster_await& wanted);
  void gone(const cluster_proxy_gone& which);
  void send_outbox();
  void push_trust();
  [[nodiscard]] caf::result<links> collect_links();

private:
  struct member {
    std::string name;
    cluster_actor actor;
  };
  void send_rows(const std::vector<storage::outbox_row>& rows);
  void sent(const std::vector<std::uint64_t>& ids, std::size_t of);
  void batch_done(bool progress);
  template <class T>
  void work(std::function<T()> run, std::function<void(T)> then) {
    have_done<T>(self_, worker_, std::chrono::seconds{30}, std::move(run), std::move(then));
  }

  pointer self_ = nullptr;
  hub_options options_;
  worker_actor worker_;
  std::map<cluster_id, member> members_;
  bool sending_ = false; ///< an outbox run is under way
  bool send_again_ = false;
  std::size_t open_batches_ = 0;
  bool progress_ = false;
};

void hub_state::start(pointer self, hub_options options) {
  self_ = self;
  options_ = std::move(options);
  worker_ = spawn_worker(self->system());
  self->set_exit_handler([this](caf::exit_msg& m) {
    for (auto& [id, one] : members_)
      self_->send_exit(one.actor, m.reason);
    self_->send_exit(worker_, m.reason);
    self_->quit(m.reason);
  });
  add(cluster_id{}, std::string{storage::installation_ledger});
  using page = result<storage::page<storage::stored<model::cluster>>>;
  work<page>(
    [store = options_.store] {
      return store->clusters({1000, 0});
    },
    [this](const page& found) {
      if (!found)
        return spdlog::error("reading the clusters: {}", to_string(found.error()));
      for (const auto& one : found->items)
        add(one.value.id, one.value.name);
    });
  self->delayed_send(self, outbox_interval, outbox_tick{});
  self->delayed_send(self, options_.upkeep, trust_tick{});
}

void hub_state::add(cluster_id id, const std::string& cluster_name) {
  if (members_.contains(id))
    return;
  cluster_options one;
  one.id = id;
  one.name = cluster_name;
  one.limits = options_.limits;
  one.seat_limit = options_.seat_limit;
  one.store = options_.store;
  one.trust = options_.trust;
  one.handle_request = options_.handle_request;
  auto actor = spawn_cluster(self_->system(), std::move(one));
  if (!actor)
    return spdlog::error("cluster '{}' cannot be started: {}", cluster_name,
                         to_string(actor.error()));
  members_.emplace(id, member{cluster_name, *actor});
}

void hub_state::remove(cluster_id id) {
  auto found = members_.find(id);
  if (found == members_.end())
    return;
  self_->send_exit(found->second.actor, caf::exit_reason::user_shutdown);
  members_.erase(found);
}

void hub_state::changed(cluster_id id) {
  if (auto found = members_.find(id); found != members_.end() && id)
    self_->send(found->second.actor, revision_created{});
  send_outbox();
}

caf::result<rollout_report> hub_state::await(const cluster_await& wanted) {
  auto found = members_.find(wanted.id);
  if (found == members_.end())
    return caf::make_error(caf::sec::invalid_argument);
  return self_->delegate(found->second.actor, await_rollout{wanted.revision});
}

void hub_state::gone(const cluster_proxy_gone& which) {
  if (auto found = members_.find(which.id); found != members_.end())
    self_->send(found->second.actor, proxy_gone{which.key});
}

void hub_state::send_outbox() {
  if (sending_) {
    send_again_ = true;
    return;
  }
  sending_ = true;
  send_again_ = false;
  using rows = result<std::vector<storage::outbox_row>>;
  work<rows>([store = options_.store] { return store->unsent(outbox_rows); },
             [this](const rows& found) {
               if (!found) {
                 spdlog::error("reading the outbox: {}", to_string(found.error()));
                 sending_ = false;
                 return;
               }
               send_rows(*found);
             });
}

void hub_state::send_rows(const std::vector<storage::outbox_row>& rows) {
  std::map<cluster_id, outbox_batch> batches;
  for (const auto& row : rows)
    if (members_.contains(row.cluster))
      batches[row.cluster].rows.push_back(row);
  open_batches_ = batches.size();
  progress_ = false;
  if (batches.empty()) {
    sending_ = false;
    return;
  }
  for (auto& [id, batch] : batches)
    self_->request(members_.at(id).actor, std::chrono::seconds{30}, batch)
      .then([this](const outbox_sent& done) { sent(done.ids, done.ids.size()); },
            [this](const caf::error&) { batch_done(false); });
}

void hub_state::sent(const std::vector<std::uint64_t>& ids, std::size_t of) {
  if (of == 0)
    return batch_done(false);
  work<result<void>>([store = options_.store, ids] { return store->mark_sent(ids, wall_now()); },
                     [this](const result<void>& done) {
                       if (!done)
                         spdlog::error("marking the outbox: {}", to_string(done.error()));
                       batch_done(done.has_value());
                     });
}

void hub_state::batch_done(bool progress) {
  progress_ = progress_ || progress;
  if (--open_batches_ > 0)
    return;
  sending_ = false;
  if (send_again_ && progress_)
    send_outbox();
}

void hub_state::push_trust() {
  work<result<void>>(
    [trust = options_.trust, store = options_.store]() -> result<void> {
      auto now = wall_now();
      if (auto done = trust->remove_expired_keys(now); !done)
        return done;
      if (auto done = store->purge(now, now - keep_sent_for); !done)
        return tl::unexpected(done.error());
      return trust->push_all();
    },
    [](const result<void>& done) {
      if (!done)
        spdlog::warn("upkeep of keys and accounts: {}", to_string(done.error()));
    });
}

caf::result<links> hub_state::collect_links() {
  auto promise = self_->make_response_promise<links>();
  auto out = std::make_shared<links>();
  auto left = std::make_shared<std::size_t>(members_.size());
  for (const auto& [id, one] : members_) {
    auto note = [promise, out, left, who = one.name](cluster_link state) mutable {
      out->by_name[who] = std::move(state);
      if (--*left == 0)
        promise.deliver(*out);
    };
    self_->request(one.actor, std::chrono::seconds{2}, get_cluster_link{})
      .then([note](const cluster_link& state) mutable { note(state); },
            [note](const caf::error& e) mutable {
              note({false, to_string(bus::from_caf(e))});
            });
  }
  return promise;
}

hub_actor::behavior_type hub(hub_actor::stateful_pointer<hub_state> self,
                             const hub_options& options) {
  self->state.start(self, options);
  return {
    [self](const cluster_added& c) { self->state.add(c.id, c.name); },
    [self](cluster_removed c) { self->state.remove(c.id); },
    [self](cluster_changed c) { self->state.changed(c.id); },
    [self](const cluster_await& w) { return self->state.await(w); },
    [self](const cluster_proxy_gone& g) { self->state.gone(g); },
    [self](outbox_tick) {
      self->state.send_outbox();
      self->delayed_send(self, outbox_interval, outbox_tick{});
    },
    [self, every = options.upkeep](trust_tick) {
      self->state.push_trust();
      self->delayed_send(self, every, trust_tick{});
    },
    [self](get_links) { return self->state.collect_links(); },
  };
}

} // namespace

hub_actor spawn_hub(caf::actor_system& system, hub_options options) {
  return system.spawn(hub, std::move(options));
}

} // namespace marchproxy::manager

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/streams.hpp"
#include "actors/contracts/events.hpp"
#include "actors/manager/cluster_state.hpp"
#include "bus-schemas/cpp/subjects.hpp"

#include <spdlog/spdlog.h>

namespace marchproxy::manager {

namespace {

namespace subjects = bus_schemas::subjects;
constexpr auto bus_timeout = std::chrono::seconds{3};

/// What a look for work finds: nothing, or the newest pending revision, compiled.
struct found_revision {
  marchproxy::revision number; ///< 0: nothing to do
  std::shared_ptr<const publication> what;
  std::string failure; ///< why it cannot be rolled out
};

/// @param held_back  is not looked at: it waits for its next attempt
result<found_revision> find_pending(storage::store& store,
                                    const authority& trust,
                                    cluster_id id,
                                    marchproxy::revision held_back) {
  auto latest = store.latest(id);
  if (!latest)
    return tl::unexpected(latest.error());
  if (!*latest || (*latest)->state != storage::revision_state::pending
      || (*latest)->number == held_back)
    return found_revision{};
  found_revision out{(*latest)->number, nullptr, ""};
  auto bytes = store.content(id, out.number);
  if (!bytes)
    return tl::unexpected(bytes.error());
  auto key = trust.policy_key(id);
  if (!key)
    return tl::unexpected(key.error());
  auto made = make_publication(*bytes, *key);
  if (made)
    out.what = *made;
  else
    out.failure = to_string(made.error());
  return out;
}

std::string_view outcome_name(rollout::outcome outcome) {
  switch (outcome) {
  case rollout::outcome::in_force:
    return "in_force";
  case rollout::outcome::committed:
    return "committed";
  case rollout::outcome::aborted:
    break;
  }
  return "aborted";
}

} // namespace

void cluster_state::look_for_revision() {
  if (looking_ || coordinator_.busy() || !up_) {
    look_again_ = true;
    return;
  }
  looking_ = true;
  look_again_ = false;
  work<result<found_revision>>(
    [store = options_.store, trust = options_.trust, id = options_.id,
     held_back = coordinator_.held_back(wall_now())] {
      return find_pending(*store, *trust, id, held_back);
    },
    [this](result<found_revision> found) {
      looking_ = false;
      if (!found)
        return spdlog::error("cluster '{}': reading the newest revision: {}", options_.name,
                             to_string(found.error()));
      if (!found->number) {
        if (look_again_)
          look_for_revision();
        return;
      }
      if (!found->what)
        return give_up(found->number, found->failure);
      begin(std::move(found->what));
    });
}

void cluster_state::begin(std::shared_ptr<const publication> what) {
  looking_ = true; // until the chunks are there
  current_ = what;
  store_chunk(std::move(what), 0);
}

void cluster_state::store_chunk(std::shared_ptr<const publication> what, std::size_t index) {
  if (index >= what->chunks.size()) {
    looking_ = false;
    return step(rollout::start{what->what.revision, alive()});
  }
  auto request =
    bus::publish_request(subjects::config_chunk(what->what.sha256, index), what->chunks[index], {});
  auto failed = [this](const std::string& why) {
    looking_ = false; // the revision stays pending: the next look takes it up again
    rebuild_ = true;
    spdlog::warn("cluster '{}': the bus did not take the ruleset: {}", options_.name, why);
  };
  self_->request(gateway_, bus_timeout, bus::bus_request{std::move(request), bus_timeout})
    .then(
      [this, what, index, failed](const bus::message& reply) {
        if (auto stored = bus::read_publish_reply(reply); !stored)
          return failed(to_string(stored.error()));
        store_chunk(what, index + 1);
      },
      [failed](const caf::error& e) { failed(to_string(bus::from_caf(e))); });
}

/// Aborts a revision that never reached the proxies.
void cluster_state::give_up(marchproxy::revision revision, const std::string& reason) {
  spdlog::error("cluster '{}': revision {} cannot be rolled out: {}", options_.name, revision.value,
                reason);
  work<result<storage::outcome>>(
    [store = options_.store, id = options_.id, revision, reason] {
      return store->decide(by_system(), id, revision, storage::revision_state::aborted, reason);
    },
    [this, revision, reason](const result<storage::outcome>& done) {
      if (!done) {
        rebuild_ = true; // it may be committed after all, and then the bus has to say so
        spdlog::error("cluster '{}': storing the abort: {}", options_.name,
                      to_string(done.error()));
      }
      answer_waiters({rollout::outcome::aborted, revision, 0, 0, reason});
      if (look_again_)
        look_for_revision();
    });
}

void cluster_state::step(const rollout::event& e) {
  for (const auto& effect : coordinator_.step(e, wall_now()))
    std::visit([this](const auto& one) { carry_out(one); }, effect);
}

void cluster_state::carry_out(const rollout::announce_prepare&) {
  auto now = wall_now();
  say(std::string{subjects::config_phase},
      contracts::make_event(
        contracts::manager_source(options_.name),
        contracts::to_prepare(options_.name, current_->what, now + options_.limits.prepare), now));
}

void cluster_state::carry_out(const rollout::store_decision& e) {
  work<result<storage::outcome>>(
    [store = options_.store, id = options_.id, revision = e.revision] {
      return store->decide(by_system(), id, revision, storage::revision_state::committed,
                           "every proxy prepared");
    },
    [this, revision = e.revision](const result<storage::outcome>& done) {
      if (!done)
        spdlog::error("cluster '{}': storing the decision: {}", options_.name,
                      to_string(done.error()));
      else
        publish_active(current_);
      step(rollout::decision_stored{revision, done.has_value()});
    });
}

void cluster_state::publish_active(const std::shared_ptr<const publication>& what) {
  auto now = wall_now();
  auto text = contracts::make_event(contracts::manager_source(options_.name),
                                    contracts::to_active(options_.name, what->what, now), now);
  auto request = bus::publish_request(std::string{subjects::config_active}, std::move(text), {});
  auto failed = [this](const std::string& why) {
    rebuild_ = true;
    spdlog::warn(
      "cluster '{}': the bus did not take the decision record, which is published again: {}",
      options_.name, why);
  };
  self_->request(gateway_, bus_timeout, bus::bus_request{std::move(request), bus_timeout})
    .then(
      [failed](const bus::message& reply) {
        if (auto stored = bus::read_publish_reply(reply); !stored)
          failed(to_string(stored.error()));
      },
      [failed](const caf::error& e) { failed(to_string(bus::from_caf(e))); });
}

void cluster_state::carry_out(const rollout::announce_commit& e) {
  bus_schemas::config_commit m;
  m.revision = e.revision.value;
  m.sha256 = current_->what.sha256;
  say(std::string{subjects::config_phase},
      contracts::make_event(contracts::manager_source(options_.name), m, wall_now()));
}

void cluster_state::carry_out(const rollout::announce_abort& e) {
  bus_schemas::config_abort m;
  m.revision = e.revision.value;
  m.reason = e.reason.empty() ? "aborted" : e.reason.substr(0, 1024);
  say(std::string{subjects::config_phase},
      contracts::make_event(contracts::manager_source(options_.name), m, wall_now()));
}

void cluster_state::carry_out(const rollout::postponed& e) {
  spdlog::warn("cluster '{}': revision {} is tried again in {} ms: {}", options_.name,
               e.revision.value, e.wait.count(), e.reason);
  look_for_revision(); // a newer one does not wait
}

void cluster_state::carry_out(const rollout::finished& e) {
  spdlog::info("cluster '{}': revision {} {} ({} of {} proxies){}{}", options_.name,
               e.revision.value, outcome_name(e.outcome), e.applied, e.expected,
               e.reason.empty() ? "" : ": ", e.reason);
  if (e.outcome == rollout::outcome::aborted)
    return give_up(e.revision, e.reason);
  auto report = rollout_report{e.outcome, e.revision, e.expected, e.applied, e.reason};
  work<result<storage::outcome>>(
    [store = options_.store, id = options_.id, e, hash = current_->what.program_hash] {
      return store->finish_rollout(
        by_system(), id, e.revision,
        {std::string{outcome_name(e.outcome)}, hash, e.expected, e.applied});
    },
    [this, report](const result<storage::outcome>& done) {
      if (!done)
        spdlog::error("cluster '{}': storing the rollout's end: {}", options_.name,
                      to_string(done.error()));
      answer_waiters(report);
      look_for_revision();
    });
}

void cluster_state::republish_committed() {
  using outcome = result<std::shared_ptr<const publication>>;
  work<outcome>(
    [store = options_.store, trust = options_.trust, id = options_.id]() -> outcome {
      auto last = store->last_committed(id);
      if (!last)
        return tl::unexpected(last.error());
      if (!*last)
        return std::shared_ptr<const publication>{};
      auto bytes = store->content(id, (*last)->number);
      if (!bytes)
        return tl::unexpected(bytes.error());
      auto key = trust->policy_key(id);
      if (!key)
        return tl::unexpected(key.error());
      return make_publication(*bytes, *key);
    },
    [this](const outcome& made) {
      if (!made)
        return spdlog::error("cluster '{}': publishing the revision in force: {}", options_.name,
                             to_string(made.error()));
      if (!*made)
        return;
      settled_ = std::max(settled_, (*made)->what.revision);
      if (last_report_.revision < (*made)->what.revision)
        last_report_ = {rollout::outcome::committed, (*made)->what.revision, 0, 0,
                        "decided before a restart"};
      for (std::size_t i = 0; i < (*made)->chunks.size(); ++i)
        self_->send(gateway_, bus::bus_publish{{subjects::config_chunk((*made)->what.sha256, i),
                                                (*made)->chunks[i]}});
      publish_active(*made);
    });
}

} // namespace marchproxy::manager

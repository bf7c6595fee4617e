// SPDX-License-Identifier: AGPL-3.0-only
// The node's way with a revision: fetch it in chunks, have it staged, flip to it, acknowledge.
#include "actors/bus/actor_error.hpp"
#include "actors/bus/streams.hpp"
#include "actors/contracts/events.hpp"
#include "actors/proxy/node_state_machine.hpp"
#include "actors/proxy/ruleset_fetch.hpp"
#include "bus-schemas/cpp/subjects.hpp"

#include <caf/send.hpp>

#include <spdlog/spdlog.h>

#include <variant>

namespace marchproxy::proxy {

namespace {

namespace subjects = bus_schemas::subjects;
constexpr auto stage_timeout = std::chrono::seconds{60};
constexpr std::size_t fetches_at_once = 4;

} // namespace

void node_state_machine::step(const rollout::applier_event& e) {
  for (const auto& effect : applier_->step(e))
    std::visit([this](const auto& one) { carry_out(one); }, effect);
  state_.revision = applier_->active();
}

void node_state_machine::carry_out(const rollout::stage& e) {
  auto f = std::make_shared<ruleset_fetch>(e.what);
  for (std::size_t i = 0; i < fetches_at_once; ++i)
    fetch_next(f);
}

void node_state_machine::fetch_next(const std::shared_ptr<ruleset_fetch>& f) {
  auto index = f->next();
  if (!index)
    return;
  auto failed = [this, f](const error& why) {
    if (f->give_up())
      step(rollout::staging_failed{f->what().revision, "fetching the ruleset: " + to_string(why)});
  };
  if (!gateway_)
    return failed({errc::unavailable, "the link to the bus is being rebuilt", {}});
  self_
    ->request(gateway_, request_timeout,
              bus::bus_request{
                bus::direct_get_request("CFG", subjects::config_chunk(f->what().sha256, *index)),
                request_timeout})
    .then(
      [this, f, index = *index, failed](const bus::message& reply) {
        if (auto taken = f->take(index, reply); !taken)
          return failed(taken.error());
        if (f->whole())
          stage_fetched(std::make_shared<const stored_revision>(f->join()));
        else
          fetch_next(f);
      },
      [failed](const caf::error& e) { failed(bus::from_caf(e)); });
}

void node_state_machine::stage_fetched(std::shared_ptr<const stored_revision> stored) {
  auto revision = stored->what.revision;
  self_
    ->request(stager_, stage_timeout,
              stage_request{authority_.value_or(policy_authority{}), std::move(stored)})
    .then(
      [this, revision](const work_outcome& done) {
        if (done.ok)
          step(rollout::staged{revision});
        else
          step(rollout::staging_failed{revision, done.reason});
      },
      [this, revision](const caf::error& e) {
        step(rollout::staging_failed{revision, to_string(bus::from_caf(e))});
      });
}

void node_state_machine::carry_out(const rollout::flip& e) {
  auto revision = e.revision;
  self_->request(stager_, stage_timeout, flip_request{revision})
    .then(
      [this, revision](const work_outcome& done) {
        step(rollout::flipped{revision, done.ok, done.reason});
      },
      [this, revision](const caf::error& e2) {
        step(rollout::flipped{revision, false, to_string(bus::from_caf(e2))});
      });
}

void node_state_machine::carry_out(const rollout::drop_staged& e) {
  self_->send(stager_, drop_request{e.revision});
}

void node_state_machine::carry_out(const rollout::send_ack& e) {
  bus_schemas::proxy_ack m;
  m.revision = e.revision.value;
  switch (e.phase) {
  case rollout::ack_phase::prepared:
    m.phase = bus_schemas::proxy_ack::phase_value::prepared;
    break;
  case rollout::ack_phase::refused:
    m.phase = bus_schemas::proxy_ack::phase_value::refused;
    m.reason = e.reason.substr(0, 1024);
    state_.last_refusal = "revision " + std::to_string(e.revision.value) + ": " + e.reason;
    spdlog::error("refused {}", state_.last_refusal);
    break;
  case rollout::ack_phase::applied:
    m.phase = bus_schemas::proxy_ack::phase_value::applied;
    spdlog::info("revision {} is in force", e.revision.value);
    break;
  }
  m.tier = options_.tiers.chosen;
  publish(
    subjects::proxy_ack(state_.key),
    contracts::make_event(contracts::proxy_source(state_.cluster, state_.key), m, wall_now()));
}

} // namespace marchproxy::proxy

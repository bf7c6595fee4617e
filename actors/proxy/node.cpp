// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/proxy/node.hpp"

#include "actors/base/version.hpp"
#include "actors/bus/actor_error.hpp"
#include "actors/bus/joining.hpp"
#include "actors/bus/streams.hpp"
#include "actors/contracts/events.hpp"
#include "actors/crypto/encoding.hpp"
#include "actors/proxy/node_state_machine.hpp"
#include "bus-schemas/cpp/subjects.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <spdlog/spdlog.h>

#include <algorithm>

namespace marchproxy::proxy {

namespace {

namespace subjects = bus_schemas::subjects;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto join_timeout = seconds{5};
constexpr milliseconds last_join_retry{5000};
constexpr std::size_t verdict_batch = 256; ///< at most this many are in the gateway's mailbox

} // namespace

void node_state_machine::start(pointer self,
                               node_options options,
                               std::shared_ptr<revision_engine> engine,
                               counters_source counters) {
  self_ = self;
  options_ = std::move(options);
  engine_ = std::move(engine);
  counters_ = std::move(counters);
  stager_ = spawn_stager(self->system(), engine_);
  joiner_ = spawn_joiner(self->system());
  if (auto current = engine_->current())
    state_.revision = current->revision();
  applier_.emplace(state_.revision);
  state_.cluster = options_.cluster_key.cluster_name;
  state_.bus_reason = "not joined yet";
  self->set_exit_handler([this](caf::exit_msg& m) {
    if (options_.verdicts)
      options_.verdicts->on_waiting({});
    if (gateway_)
      self_->send_exit(gateway_, m.reason);
    self_->send_exit(stager_, m.reason);
    self_->send_exit(joiner_, m.reason);
    self_->quit(m.reason);
  });
  if (options_.verdicts)
    options_.verdicts->on_waiting(
      [me = node_actor{self}] { caf::anon_send(me, verdicts_waiting{}); });
  self->send(self, join_now{});
}

std::string node_state_machine::enroll_payload() const {
  bus_schemas::enroll_request m;
  m.name = options_.name;
  m.kind = options_.kind;
  m.hostname = options_.hostname;
  m.version = version();
  m.addresses = options_.addresses;
  return contracts::make_event(contracts::proxy_source(state_.cluster, user_->public_key()), m,
                               wall_now());
}

void node_state_machine::join() {
  user_ = bus::nkey::generate(bus::nkey_kind::user);
  auto options = std::make_shared<bus::join_options>(bus::join_options{
    options_.cluster_key, options_.bus_urls, *user_, enroll_payload(), join_timeout});
  self_->request(joiner_, join_timeout * 3, join_request{options})
    .then(
      [this](const join_outcome& done) {
        if (done.reply)
          on_enrolled(*done.reply, false);
        else
          retry_join(done.reply.error());
      },
      [this](const caf::error& e) { retry_join(bus::from_caf(e)); });
}

void node_state_machine::retry_join(const error& why) {
  state_.bus_reason = to_string(why);
  spdlog::warn("cannot join cluster '{}': {}; trying again in {} ms", state_.cluster,
               state_.bus_reason, join_retry_.count());
  self_->delayed_send(self_, join_retry_, join_now{});
  join_retry_ = std::min(join_retry_ * 2, last_join_retry);
}

void node_state_machine::on_enrolled(const std::string& reply, bool renewal) {
  auto read = bus_schemas::decode_event<bus_schemas::enroll_reply>(reply);
  auto usable =
    read && read->data.ok && read->data.jwt && read->data.signing_key && read->data.cluster;
  auto key = usable ? crypto::from_hex(*read->data.signing_key) : std::nullopt;
  if (!usable || !key) {
    auto why = !read              ? read.error()
               : read->data.error ? error{errc::refused, read->data.error->message, {}}
                                  : error{errc::corrupt, "the enrolment reply lacks fields", {}};
    if (renewal)
      spdlog::warn("the manager did not renew the JWT: {}", to_string(why));
    else
      retry_join(why);
    return;
  }
  jwt_->set(*read->data.jwt);
  auto expires = parse_time(read->data.expires_at.value_or(""));
  auto left =
    expires ? std::chrono::duration_cast<milliseconds>(*expires - wall_now()) : milliseconds{0};
  if (!renewal)
    ++enrolments_;
  self_->delayed_send(self_, std::max(left / 2, milliseconds{1000}), renew_now{enrolments_});
  if (renewal)
    return;
  policy_authority authority;
  authority.cluster = *read->data.cluster;
  std::copy(key->begin(), key->end(), authority.public_key.begin());
  authority_ = authority;
  self_->send(stager_, note_request{authority});
  state_.joined = true;
  state_.cluster = authority.cluster;
  state_.key = user_->public_key();
  join_retry_ = first_join_retry;
  spdlog::info("joined cluster '{}' as {}", state_.cluster, state_.key);
  open_gateway();
}

void node_state_machine::open_gateway() {
  bus::connection_options options{options_.bus_urls, options_.name, *user_,
                                  [jwt = jwt_] { return jwt->get(); }};
  auto gateway = bus::spawn_gateway(self_->system(), std::move(options));
  if (!gateway)
    return retry_join(gateway.error());
  if (gateway_)
    self_->send_exit(gateway_, caf::exit_reason::user_shutdown);
  gateway_ = *gateway;
  auto me = caf::actor_cast<caf::actor>(self_);
  self_->send(gateway_, bus::bus_watch{me});
  self_
    ->request(gateway_, request_timeout,
              bus::bus_subscribe{std::string{subjects::config_phase}, me})
    .then([](const bus::subscription_id&) {},
          [](const caf::error& e) {
            spdlog::error("cannot subscribe: {}", to_string(bus::from_caf(e)));
          });
}

void node_state_machine::on_link(const bus::bus_link& link) {
  if (!gateway_ || link.gateway != gateway_.address())
    return; // late news of a gateway that has been replaced
  if (state_.bus_up && !link.state.up)
    spdlog::warn("off the bus ({}); going on with revision {}", to_string(link.state.why),
                 state_.revision.value);
  else if (link.state.up)
    spdlog::info("on the bus");
  state_.bus_up = link.state.up;
  state_.bus_reason = link.state.up ? "" : to_string(link.state.why);
  if (link.state.up) {
    self_->send(self_, poll_now{});
    self_->send(self_, status_now{});
    self_->send(self_, verdicts_waiting{});
  } else if (link.state.why.code == errc::unauthenticated) {
    // Revoked, or the JWT ended while the bus was away: only a new enrolment helps.
    spdlog::warn("the bus refuses this proxy's credentials ({}); joining anew", state_.bus_reason);
    if (gateway_)
      self_->send_exit(gateway_, caf::exit_reason::user_shutdown);
    gateway_ = nullptr;
    self_->delayed_send(self_, join_retry_, join_now{});
    join_retry_ = std::min(join_retry_ * 2, last_join_retry);
  }
}

void node_state_machine::renew(std::uint64_t enrolment) {
  if (!gateway_ || !user_ || enrolment != enrolments_)
    return;
  self_
    ->request(
      gateway_, join_timeout,
      bus::bus_request{bus::renewal_request(user_->public_key(), enroll_payload()), join_timeout})
    .then([this](const bus::message& reply) { on_enrolled(reply.data, true); },
          [this](const caf::error& e) {
            spdlog::warn("JWT renewal: {}", to_string(bus::from_caf(e)));
            self_->delayed_send(self_, seconds{10}, renew_now{enrolments_});
          });
}

void node_state_machine::poll() {
  if (gateway_ && state_.bus_up)
    self_
      ->request(
        gateway_, request_timeout,
        bus::bus_request{bus::direct_get_request("CFG", subjects::config_active), request_timeout})
      .then(
        [this](const bus::message& reply) {
          auto stored = bus::read_direct_reply(reply);
          if (!stored)
            return; // no revision yet
          auto read = bus_schemas::decode_event<bus_schemas::config_active>(stored->data);
          if (read)
            step(rollout::active_seen{contracts::announcement_of(read->data)});
          else
            spdlog::error("unreadable decision record: {}", to_string(read.error()));
        },
        [](const caf::error&) {}); // the next poll comes
}

void node_state_machine::on_signal(const bus::message& m) {
  if (auto prepare = bus_schemas::decode_event<bus_schemas::config_prepare>(m.data))
    return step(rollout::prepare_announced{contracts::announcement_of(prepare->data)});
  if (auto commit = bus_schemas::decode_event<bus_schemas::config_commit>(m.data))
    return step(rollout::commit_announced{marchproxy::revision{commit->data.revision}});
  if (auto abort = bus_schemas::decode_event<bus_schemas::config_abort>(m.data))
    return step(rollout::abort_announced{marchproxy::revision{abort->data.revision}});
  spdlog::warn("unknown signal on {}", m.subject);
}

void node_state_machine::report() {
  bus_schemas::proxy_status m;
  m.name = options_.name;
  m.kind = options_.kind == bus_schemas::enroll_request::kind_value::egress
             ? bus_schemas::proxy_status::kind_value::egress
             : bus_schemas::proxy_status::kind_value::ingress;
  m.hostname = options_.hostname;
  m.version = version();
  m.tier.chosen = options_.tiers.chosen;
  for (const auto& d : options_.tiers.not_chosen)
    m.tier.declined.push_back({d.name, d.reason});
  m.revision = state_.revision.value;
  if (auto current = engine_->current())
    m.program_hash = current->hash_hex();
  m.counters = counters_.read();
  m.addresses = options_.addresses;
  m.uptime_seconds = static_cast<std::uint64_t>(
    std::chrono::duration_cast<seconds>(std::chrono::steady_clock::now() - started_).count());
  publish(
    subjects::proxy_status(state_.key),
    contracts::make_event(contracts::proxy_source(state_.cluster, state_.key), m, wall_now()));
}

/// One batch at a time: the next goes when the gateway has dealt with the one before, so what the
/// bus cannot take piles up in the feed, which is bounded, and not in a mailbox.
void node_state_machine::tell_verdicts() {
  if (!options_.verdicts || telling_ || !gateway_ || !state_.bus_up)
    return;
  auto batch = options_.verdicts->take(verdict_batch);
  if (batch.empty())
    return;
  telling_ = true;
  auto source = contracts::proxy_source(state_.cluster, state_.key);
  auto message_of = [&source](const bus_schemas::flow_verdict& v) {
    return bus::bus_publish{
      {subjects::verdict(std::to_string(v.service.value_or(0)), to_string(v.verdict)),
       contracts::make_event(source, v, wall_now())}};
  };
  for (std::size_t i = 0; i + 1 < batch.size(); ++i)
    self_->send(gateway_, message_of(batch[i]));
  self_->request(gateway_, request_timeout, message_of(batch.back()))
    .then(
      [this, n = batch.size()] {
        options_.verdicts->count_published(n);
        telling_ = false;
        tell_verdicts();
      },
      [this, n = batch.size()](const caf::error&) {
        // The link broke under them; what waits still goes when it is up again.
        options_.verdicts->count_lost(n);
        telling_ = false;
        self_->delayed_send(self_, seconds{1}, verdicts_waiting{});
      });
}

void node_state_machine::publish(std::string subject, std::string data) {
  if (gateway_ && state_.bus_up)
    self_->send(gateway_, bus::bus_publish{{std::move(subject), std::move(data)}});
}

node_state node_state_machine::snapshot() const {
  return state_;
}

namespace {

node_actor::behavior_type node(node_actor::stateful_pointer<node_state_machine> self,
                               const node_options& options,
                               const std::shared_ptr<revision_engine>& engine,
                               const counters_source& counters) {
  self->state.start(self, options, engine, counters);
  self->delayed_send(self, options.poll, poll_tick{});
  self->delayed_send(self, options.status, status_tick{});
  return {
    [self](join_now) { self->state.join(); },
    [self](poll_now) { self->state.poll(); },
    [self](status_now) { self->state.report(); },
    [self](renew_now r) { self->state.renew(r.enrolment); },
    [self, every = options.poll](poll_tick) {
      self->state.poll();
      self->delayed_send(self, every, poll_tick{});
    },
    [self, every = options.status](status_tick) {
      self->state.report();
      self->delayed_send(self, every, status_tick{});
    },
    [self](verdicts_waiting) { self->state.tell_verdicts(); },
    [self](const bus::bus_message& m) { self->state.on_signal(m.content); },
    [self](const bus::bus_link& link) { self->state.on_link(link); },
    [self](get_node_state) { return self->state.snapshot(); },
  };
}

} // namespace

node_actor spawn_node(caf::actor_system& system,
                      node_options options,
                      std::shared_ptr<revision_engine> engine,
                      counters_source counters) {
  return system.spawn(node, std::move(options), std::move(engine), std::move(counters));
}

} // namespace marchproxy::proxy

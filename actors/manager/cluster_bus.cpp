// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/joining.hpp"
#include "actors/bus/streams.hpp"
#include "actors/contracts/events.hpp"
#include "actors/crypto/digest.hpp"
#include "actors/manager/cluster_state.hpp"
#include "bus-schemas/cpp/subjects.hpp"

#include <spdlog/spdlog.h>

namespace marchproxy::manager {

namespace {

namespace subjects = bus_schemas::subjects;
constexpr auto bus_timeout = std::chrono::seconds{3};

bus_schemas::enroll_reply refusal(const error& why) {
  bus_schemas::enroll_reply out;
  out.ok = false;
  bus_schemas::enroll_reply::error_value told;
  told.code = to_string(why.code);
  told.message = why.message.substr(0, 512);
  out.error = std::move(told);
  return out;
}

/// The key in `mp.v1.proxy.<key>.<what>`.
std::string key_of(std::string_view subject) {
  constexpr std::string_view head = "mp.v1.proxy.";
  auto rest = subject.substr(head.size());
  return std::string{rest.substr(0, rest.find('.'))};
}

/// What enrolling came to, and the key that the same name had before: its process is gone.
struct enrolled {
  bus_schemas::enroll_reply reply;
  std::string former_key;
};

result<enrolled> enrol(const cluster_options& options,
                       const bus::requester& who,
                       const bus_schemas::enroll_request& asked,
                       const storage::change_context& by) {
  std::string former;
  if (who.renewal) {
    auto known = options.store->proxy_by_key(who.user_key);
    if (!known)
      return tl::unexpected(known.error());
    if (known->state == storage::proxy_state::revoked
        || known->state == storage::proxy_state::retired)
      return fail(errc::forbidden,
                  "proxy '" + known->name + "' is " + std::string{to_string(known->state)});
  } else {
    auto known = options.store->proxies(options.id);
    if (!known)
      return tl::unexpected(known.error());
    for (const auto& p : *known)
      if (p.name == asked.name && p.nkey != who.user_key)
        former = p.nkey;
    auto done = options.store->enrol(by,
                                     {options.id, asked.name, who.user_key,
                                      std::string{to_string(asked.kind)}, asked.version,
                                      asked.hostname, asked.addresses},
                                     options.seat_limit);
    if (!done)
      return tl::unexpected(done.error());
  }
  auto minted =
    options.trust->mint(options.id, bus::role::proxy, who.user_key, asked.name, proxy_jwt_lifetime);
  if (!minted)
    return tl::unexpected(minted.error());
  auto policy_key = options.trust->policy_key(options.id);
  if (!policy_key)
    return tl::unexpected(policy_key.error());
  auto committed = options.store->last_committed(options.id);
  bus_schemas::enroll_reply out;
  out.ok = true;
  out.jwt = minted->jwt;
  out.expires_at = format_time(minted->expires);
  out.cluster = options.name;
  out.proxy = who.user_key;
  out.revision = committed && *committed ? (*committed)->number.value : 0;
  out.signing_key = crypto::to_hex(crypto::view(policy_key->public_key()));
  return enrolled{std::move(out), std::move(former)};
}

} // namespace

void cluster_state::say(std::string subject, std::string data) {
  self_->send(gateway_, bus::bus_publish{{std::move(subject), std::move(data)}});
}

void cluster_state::subscribe_all() {
  auto me = caf::actor_cast<caf::actor>(self_);
  for (const auto& subject : {std::string{bus::enroll_subject}, std::string{bus::renew_subject},
                              std::string{"mp.v1.proxy.*.ack"}, std::string{"mp.v1.proxy.*.status"},
                              std::string{subjects::request_mapping}})
    self_->request(gateway_, bus_timeout, bus::bus_subscribe{subject, me})
      .then([](const bus::subscription_id&) {},
            [subject](const caf::error& e) {
              spdlog::error("cannot subscribe to {}: {}", subject, to_string(bus::from_caf(e)));
            });
}

/// Streams can be rebuilt from the store: the bus may be new, or have missed the last decision.
void cluster_state::rebuild_streams() {
  rebuild_ = false;
  set_up_streams();
  if (options_.id)
    republish_committed();
}

void cluster_state::set_up_streams() {
  for (const auto& config : {bus::config_stream(), bus::audit_stream(), bus::events_stream()}) {
    auto failed = [this, stream = config.name](const std::string& why) {
      rebuild_ = true;
      spdlog::error("cluster '{}': stream {}: {}", options_.name, stream, why);
    };
    self_
      ->request(gateway_, bus_timeout,
                bus::bus_request{bus::create_stream_request(config), bus_timeout})
      .then(
        [failed](const bus::message& reply) {
          auto done = bus::read_stream_reply(reply);
          if (!done && done.error().code != errc::conflict)
            failed(to_string(done.error()));
        },
        [failed](const caf::error& e) { failed(to_string(bus::from_caf(e))); });
  }
}

void cluster_state::on_link(const bus::bus_link& link) {
  up_ = link.state.up;
  link_reason_ = up_ ? "" : to_string(link.state.why);
  if (!up_)
    return;
  rebuild_streams();
  if (options_.id)
    look_for_revision();
}

void cluster_state::on_message(const bus::message& m) {
  if (m.subject.starts_with("mp.v1.enroll."))
    on_enrol(m);
  else if (m.subject.ends_with(".ack"))
    on_ack(m);
  else if (m.subject.ends_with(".status"))
    on_status(m);
  else
    on_request(m);
}

void cluster_state::on_enrol(const bus::message& m) {
  auto answer = [this, to = m.reply](const bus_schemas::enroll_reply& reply) {
    say(to, contracts::make_event(contracts::manager_source(options_.name), reply, wall_now()));
  };
  auto who = bus::read_requester(m.subject);
  auto asked = bus_schemas::decode_event<bus_schemas::enroll_request>(m.data);
  if (!who || !asked)
    return answer(refusal(who ? asked.error() : who.error()));
  auto by = by_proxy(who->user_key, asked->data.name);
  work<result<enrolled>>(
    [options = options_, who = *who, body = asked->data, by] {
      return enrol(options, who, body, by);
    },
    [this, answer, key = who->user_key, proxy = asked->data.name](const result<enrolled>& done) {
      if (!done) {
        spdlog::warn("cluster '{}': proxy '{}' may not join: {}", options_.name, proxy,
                     to_string(done.error()));
        return answer(refusal(done.error()));
      }
      if (!done->former_key.empty())
        forget(done->former_key);
      leases_[key] = wall_now();
      answer(done->reply);
    });
}

void cluster_state::on_ack(const bus::message& m) {
  auto read = bus_schemas::decode_event<bus_schemas::proxy_ack>(m.data);
  if (!read)
    return spdlog::warn("cluster '{}': unreadable acknowledgement: {}", options_.name,
                        to_string(read.error()));
  auto key = key_of(m.subject);
  leases_[key] = wall_now();
  rollout::ack e;
  e.proxy = key;
  e.revision = marchproxy::revision{read->data.revision};
  e.reason = read->data.reason.value_or("");
  switch (read->data.phase) {
  case bus_schemas::proxy_ack::phase_value::prepared:
    e.phase = rollout::ack_phase::prepared;
    break;
  case bus_schemas::proxy_ack::phase_value::refused:
    e.phase = rollout::ack_phase::refused;
    break;
  case bus_schemas::proxy_ack::phase_value::applied:
    e.phase = rollout::ack_phase::applied;
    break;
  }
  step(e);
}

void cluster_state::on_status(const bus::message& m) {
  auto read = bus_schemas::decode_event<bus_schemas::proxy_status>(m.data);
  if (!read)
    return spdlog::warn("cluster '{}': unreadable status: {}", options_.name,
                        to_string(read.error()));
  auto key = key_of(m.subject);
  leases_[key] = wall_now();
  step(rollout::heard{key});
  const auto& s = read->data;
  storage::heartbeat beat{key,
                          s.version,
                          s.tier.chosen,
                          marchproxy::revision{s.revision},
                          s.program_hash.value_or(""),
                          bus_schemas::encode(s),
                          s.addresses};
  work<result<storage::proxy_record>>(
    [store = options_.store, beat, seats = options_.seat_limit] {
      return store->beat(beat, wall_now(), seats);
    },
    [this, key](const result<storage::proxy_record>& done) {
      if (!done)
        spdlog::warn("cluster '{}': status of {}: {}", options_.name, key, to_string(done.error()));
    });
}

void cluster_state::on_request(const bus::message& m) {
  if (m.reply.empty())
    return;
  auto out = std::make_shared<std::string>();
  self_
    ->request(desk_, std::chrono::seconds{90},
              job{[out, handle = options_.handle_request, id = options_.id, data = m.data] {
                *out = handle(id, data);
              }})
    .then([this, out, to = m.reply](job_done) { say(to, *out); },
          [this](const caf::error& e) {
            spdlog::error("cluster '{}': a request on the bus: {}", options_.name,
                          to_string(bus::from_caf(e)));
          });
}

caf::result<outbox_sent> cluster_state::publish(const outbox_batch& batch) {
  if (!up_)
    return outbox_sent{};
  auto run = std::make_shared<outbox_run>();
  run->rows = batch.rows;
  run->promise = self_->make_response_promise<outbox_sent>();
  publish_next(run);
  return run->promise;
}

void cluster_state::publish_next(const std::shared_ptr<outbox_run>& run) {
  if (run->next == run->rows.size()) {
    run->promise.deliver(run->sent);
    return;
  }
  const auto& row = run->rows[run->next];
  bus_schemas::envelope head;
  head.id = "outbox-" + std::to_string(row.id);
  head.source = contracts::manager_source(options_.name);
  // mp.v1.audit.record -> io.marchproxy.audit.record.v1; the subject of an event is its type.
  head.type = "io.marchproxy." + row.subject.substr(std::string_view{"mp.v1."}.size()) + ".v1";
  head.time = format_time(row.created_at);
  head.data.text = row.payload;
  auto request = bus::publish_request(row.subject, bus_schemas::encode(head), {.id = head.id});
  auto stop = [run](const std::string& why) {
    spdlog::debug("outbox: {}; it is tried again", why);
    run->promise.deliver(run->sent);
  };
  self_->request(gateway_, bus_timeout, bus::bus_request{std::move(request), bus_timeout})
    .then(
      [this, run, stop](const bus::message& reply) {
        if (auto stored = bus::read_publish_reply(reply); !stored)
          return stop(to_string(stored.error()));
        run->sent.ids.push_back(run->rows[run->next].id);
        ++run->next;
        publish_next(run);
      },
      [stop](const caf::error& e) { stop(to_string(bus::from_caf(e))); });
}

} // namespace marchproxy::manager

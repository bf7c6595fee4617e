// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "dpdk/worker/worker.hpp"

#include "dpdk/worker/judge.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <ctime>
#include <utility>

namespace marchproxy::packet_worker {

namespace {

constexpr std::size_t frames_ahead = 6; ///< a frame's first line is asked for so much earlier

std::uint64_t coarse_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now); // in the vDSO: no system call
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U
         + static_cast<std::uint64_t>(now.tv_nsec);
}

/// Frames for another hardware address the stack would drop, or take as multicast.
std::uint32_t read_link(const packet_port::frame& f, job& j) noexcept {
  if (f.size >= MP_LINK_BYTES && j.to_us == 0)
    return MP_TOTAL_passed_link;
  return mp_parse_link(f, &j.packet);
}

/// Not for routing, whatever else is in it, as in the tc program.
std::uint32_t stays_here(const mp_packet& p, const forwarding::table& table) noexcept {
  if (mp_is_to_group(&p) != 0)
    return MP_TOTAL_passed_link;
  if (table.is_own(p.tuple.destination))
    return MP_TOTAL_passed_local;
  return MP_PARSED;
}

} // namespace

worker::worker(in_force& shared,
               const worker_options& options,
               std::vector<packet_port::port*> ports)
  : shared_(shared),
    ports_(std::move(ports)),
    flows_(options.connections,
           options.seed,
           [this](const flow_entry& gone) {
             if (limits_ != nullptr)
               limits_->close({gone.flow.limits[0], gone.flow.limits[1]}, gone.opened_by());
           }),
    fragments_(options.seed),
    most_of_source_(options.connections_of_source),
    to_send_(ports_.size()) {}

std::size_t worker::turn() noexcept {
  read_program(); // whose limits the sweep gives back to
  flows_.sweep(coarse_now());
  std::size_t taken = 0;
  std::array<frame, packet_port::most_in_burst> frames{};
  for (std::size_t port = 0; port < ports_.size(); ++port) {
    ports_[port]->turn();
    auto count = ports_[port]->receive(frames);
    if (count == 0)
      continue;
    process(port, {frames.data(), count});
    taken += count;
  }
  return taken;
}

void worker::read_program() noexcept {
  const auto* placed = shared_.program.read();
  program_ = placed != nullptr ? placed->program.get() : nullptr;
  limits_ = placed != nullptr ? placed->limits.get() : nullptr;
}

void worker::process(std::size_t port, std::span<frame> frames) noexcept {
  // Once a burst: whatever is then judged, is judged by one revision (ACC-7).
  read_program();
  table_ = shared_.table.read();
  image_ = program_ != nullptr ? program_->image().data() : nullptr;
  revision_ = program_ != nullptr ? program_->revision().value : 0;
  now_ = coarse_now();
  read_headers(port, frames);
  look_ahead(frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i) {
    auto& j = jobs_[i];
    if (j.outcome == MP_PARSED)
      j.outcome = judge(j);
    ++totals_now_.value[MP_TOTAL_packets];
    totals_now_.value[MP_TOTAL_bytes] += j.size;
    ++totals_now_.value[j.outcome];
    if (j.outcome == MP_TOTAL_allowed)
      totals_now_.value[MP_TOTAL_allowed_bytes] += j.size;
    route(j, frames[i]);
  }
  finish(port);
  publish_counters();
}

void worker::read_headers(std::size_t port, std::span<const frame> frames) noexcept {
  const auto own = table_ != nullptr ? table_->port_address(port) : forwarding::mac_address{};
  for (std::size_t i = 0; i < std::min(frames.size(), frames_ahead); ++i)
    __builtin_prefetch(frames[i].data);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (i + frames_ahead < frames.size())
      __builtin_prefetch(frames[i + frames_ahead].data);
    auto& j = jobs_[i];
    j = job{};
    j.outcome = MP_TOTAL_no_image;
    j.size = frames[i].size;
    if (table_ != nullptr && j.size >= MP_LINK_BYTES)
      j.to_us = std::memcmp(frames[i].data, own.data(), own.size()) == 0 ? 1 : 0;
    if (table_ != nullptr)
      j.outcome = read_link(frames[i], j);
    if (j.outcome == MP_PARSED) // the kernel reassembles what is meant for it
      j.outcome = stays_here(j.packet, *table_);
    if (j.outcome == MP_PARSED)
      j.outcome = mp_parse_transport_of(frames[i], &j.packet);
    if (j.outcome == MP_PARSED && j.packet.fragment != MP_FRAGMENT_LATER)
      enter_key(j);
  }
}

void worker::enter_key(job& j) noexcept {
  j.exchanged = static_cast<std::uint8_t>(mp_flow_key_of(&j.packet.tuple, &j.key));
  j.hash = flows_.hash(j.key);
  flows_.ahead(j.hash);
}

/// Has the entries of connections fetched. What surely has none is looked up in the policy, all
/// together, when that will not be in a cache.
void worker::look_ahead(std::size_t count) noexcept {
  if (image_ == nullptr)
    return;
  auto together = program_->image().size() > burst_lookup::cached_image;
  lookup_.begin(image_);
  for (std::size_t i = 0; i < count; ++i) {
    auto& j = jobs_[i];
    const auto& p = j.packet;
    if (j.outcome != MP_PARSED || p.fragment == MP_FRAGMENT_LATER
        || (p.tracked != 0 && flows_.ahead_entry(j.hash)))
      continue;
    if (!together || p.ipv6 != 0 || p.answer != 0 || p.icmp_error != 0)
      continue;
    j.foreseen = 1;
    lookup_.add(p.tuple, j.rule);
  }
  if (lookup_.size() == 0)
    return;
  lookup_.run();
  for (std::size_t i = 0; i < count; ++i) {
    const auto& j = jobs_[i];
    if (j.foreseen == 0)
      continue;
    if (const auto* counters = mappings_.at(j.rule.mapping); counters != nullptr)
      __builtin_prefetch(counters, 1);
    if (mp_is_let_through(mp_outcome_of(MP_VERDICT(0ULL, 0ULL, j.rule.flags))) == 0)
      continue;
    flows_.ahead_insert(j.hash, now_);
    flows_.ahead_held(j.packet.tuple.source);
  }
}

/// Only now, and not when the headers are read: the first fragment may be of the same burst.
bool worker::join_fragment(job& j) noexcept {
  if (mp_join_fragment(&j.packet, fragments_.find(mp_fragment_key_of(&j.packet)), now_) == 0)
    return false;
  enter_key(j);
  return true;
}

flow_entry* worker::known_flow(job& j) noexcept {
  auto* entry = j.packet.tracked != 0 ? flows_.find(j.key, j.hash) : nullptr;
  if (entry == nullptr || mp_over(&entry->flow, &j.packet, now_) == 0)
    return entry;
  if (j.packet.icmp_error == 0) {
    flows_.erase(entry);
    ++totals_now_.value[MP_TOTAL_expired];
  }
  return nullptr;
}

/// As mp_ask of bpf/prog/connections.h.
void worker::ask_policy(const job& j, const flow_entry* entry, finding& found) noexcept {
  const auto& t = j.packet.tuple;
  auto rule = j.foreseen != 0 && j.reply == 0 ? j.rule : decide(image_, t);
  found.limits = limits_of(image_, rule, t);
  found.drain = mp_drain_of(rule.flags);
  if ((found.limits[0] | found.limits[1]) != 0)
    rule.flags |= MP_RULE_LIMITED;
  found.verdict = MP_VERDICT(revision_, rule.mapping, rule.flags);
  if (entry != nullptr && mp_is_let_through(mp_outcome_of(found.verdict)) == 0
      && mp_is_spared(&entry->flow, now_) != 0) {
    found.spared = true;
    found.limits[0] = 0;
    found.verdict = mp_spared_verdict(&entry->flow, revision_, found.limits[1]);
  }
}

bool worker::is_beyond_limits(const job& j,
                              const flow_entry* entry,
                              const finding& found) const noexcept {
  if ((MP_VERDICT_FLAGS(found.verdict) & MP_RULE_LIMITED) == 0 || limits_ == nullptr
      || mp_is_let_through(found.outcome) == 0 || j.packet.icmp_error != 0)
    return false;
  const auto& t = j.packet.tuple;
  const auto opens =
    entry == nullptr && j.packet.tracked != 0 && (j.packet.tcp_flags & MP_TCP_RST) == 0;
  // judge() exchanged the ends of a reply that it judged anew.
  const auto& source = j.reply != 0 && found.known ? t.destination : t.source;
  return !limits_->lets_pass({found.limits, source, j.size, opens}, limiting::clock::now());
}

/// Step by step as mp_look and mp_settle of bpf/prog/connections.h.
std::uint32_t worker::judge(job& j) noexcept {
  auto& p = j.packet;
  if (image_ == nullptr)
    return MP_TOTAL_no_image;
  if (p.fragment == MP_FRAGMENT_LATER && !join_fragment(j))
    return MP_TOTAL_fragments;
  auto* entry = known_flow(j);
  finding found;
  if (entry != nullptr) {
    j.reply = j.exchanged != entry->flow.originator ? 1 : 0;
    found.verdict = entry->flow.verdict;
    found.known = MP_VERDICT_GENERATION(found.verdict) == (revision_ & MP_GENERATION_MASK)
                  && mp_is_drained(&entry->flow, now_) == 0;
    found.limits = {entry->flow.limits[0], entry->flow.limits[1]};
  } else if (p.answer != 0) {
    return MP_TOTAL_no_connection;
  } else if (p.icmp_error != 0) {
    mp_forget_quote(&p);
  }
  if (!found.known) {
    if (j.reply != 0)
      mp_exchange_ends(&p.tuple);
    ask_policy(j, entry, found);
  }
  found.outcome = mp_outcome_of(found.verdict);
  if (entry == nullptr && p.tracked != 0 && mp_is_let_through(found.outcome) != 0
      && flows_.held_by(p.tuple.source) >= most_of_source_)
    return MP_TOTAL_source_full;
  if (is_beyond_limits(j, entry, found))
    found.outcome = MP_TOTAL_limited;
  settle(j, entry, found);
  if (mp_is_let_through(found.outcome) != 0 && p.icmp_error != 0)
    return MP_TOTAL_passed_icmp_error;
  return found.outcome;
}

void worker::release(flow_entry& entry) noexcept {
  if ((entry.flow.flags & MP_FLOW_HELD) == 0)
    return;
  entry.flow.flags &= static_cast<mp_u8>(~MP_FLOW_HELD);
  if (limits_ != nullptr)
    limits_->close({entry.flow.limits[0], entry.flow.limits[1]}, entry.opened_by());
}

/// As mp_renew.
void worker::renew(const job& j, flow_entry& entry, const finding& found) noexcept {
  auto& flow = entry.flow;
  flow.verdict = found.verdict;
  ++totals_now_.value[MP_TOTAL_revalidated];
  if (mp_renew_grace(&flow, found.spared ? 1 : 0, found.drain, now_) != 0)
    ++totals_now_.value[MP_TOTAL_spared];
  release(entry);
  std::copy(found.limits.begin(), found.limits.end(), flow.limits);
  const auto stays = mp_is_let_through(found.outcome) != 0 || found.outcome == MP_TOTAL_limited;
  if (stays && limits_ != nullptr && (found.limits[0] | found.limits[1]) != 0) {
    flow.flags |= MP_FLOW_HELD;
    limits_->open(found.limits, entry.opened_by());
  }
  if (!stays || found.outcome == MP_TOTAL_observed)
    report(stays ? MP_EVENT_OBSERVED : MP_EVENT_CUT, j, found.verdict);
}

void worker::settle_known(job& j, flow_entry& entry, const finding& found) noexcept {
  if (!found.known)
    renew(j, entry, found);
  if (mp_is_let_through(found.outcome) == 0)
    return;
  mp_account(&entry.flow, &j.packet, j.reply, now_, j.size);
  if (entry.flow.state == MP_STATE_CLOSED)
    release(entry);
  if (!entry.confirmed() && mp_is_confirmed(&entry.flow, j.reply) != 0) {
    flows_.confirm(&entry);
    ++totals_now_.value[MP_TOTAL_confirmed];
  }
  flows_.touch(&entry, now_);
}

void worker::open(job& j, flow_entry& entry, const finding& found) noexcept {
  entry.flow = mp_first_of(&j.packet, j.exchanged, found.verdict, now_, j.size);
  entry.flow.drain = found.drain;
  std::copy(found.limits.begin(), found.limits.end(), entry.flow.limits);
  if (limits_ != nullptr && (found.limits[0] | found.limits[1]) != 0) {
    entry.flow.flags |= MP_FLOW_HELD;
    limits_->open(found.limits, entry.opened_by());
  }
  ++totals_now_.value[MP_TOTAL_new_flows];
  report(found.outcome == MP_TOTAL_observed ? MP_EVENT_OBSERVED : MP_EVENT_OPENED, j,
         found.verdict);
}

void worker::settle(job& j, flow_entry* entry, const finding& found) noexcept {
  auto& p = j.packet;
  auto passes = mp_is_let_through(found.outcome) != 0;
  auto opened = false;
  if (found.known)
    ++totals_now_.value[MP_TOTAL_tracked_hits];
  if (p.icmp_error != 0) // about the connection, not of it
    return;
  if (entry != nullptr) {
    settle_known(j, *entry, found);
    tell_of_cut(j, found);
  } else if (!passes) {
    // Not entered: a flood of refusals must not push connections out of the table.
    report(found.outcome == MP_TOTAL_limited ? MP_EVENT_LIMITED : MP_EVENT_DENIED, j,
           found.verdict);
  } else if (p.tracked != 0 && (p.tcp_flags & MP_TCP_RST) == 0) {
    entry = flows_.insert(j.key, j.hash, now_);
    open(j, *entry, found);
    opened = true;
  }
  if (passes && p.fragment == MP_FRAGMENT_FIRST) {
    if (j.reply != 0 && !found.known) // judge() exchanged them
      mp_exchange_ends(&p.tuple);
    fragments_.enter(mp_fragment_key_of(&p), mp_fragment_of(&p, now_));
  }
  j.entry = passes ? entry : nullptr;
  count_mapping(found.verdict, found.outcome, j, opened);
}

/// As mp_is_to_tell.
void worker::tell_of_cut(job& j, const finding& found) noexcept {
  if (mp_is_let_through(found.outcome) != 0 || found.outcome == MP_TOTAL_limited
      || mp_is_told(&j.packet) == 0)
    return;
  begin_tick();
  j.told = budget_told_ < MP_TOLD_A_TICK ? 1 : 0;
  budget_told_ += j.told;
}

void worker::begin_tick() noexcept {
  auto tick = now_ >> MP_EVENT_TICK_BITS;
  if (std::exchange(budget_tick_, tick) != tick)
    budget_used_ = budget_told_ = 0;
}

void worker::report(std::uint32_t type, const job& j, std::uint64_t verdict) noexcept {
  if (type != MP_EVENT_OPENED) {
    // Refusals can come at packet rate: report some, count all.
    begin_tick();
    if (budget_used_ >= MP_DENIED_EVENTS_A_TICK) {
      ++totals_now_.value[MP_TOTAL_events_skipped];
      return;
    }
    ++budget_used_;
  }
  mp_event e{};
  e.time = now_;
  e.verdict = verdict;
  e.revision = revision_;
  e.type = type;
  e.tuple = j.packet.tuple;
  if (!events_.push(e))
    ++totals_now_.value[MP_TOTAL_events_lost];
}

void worker::count_mapping(std::uint64_t verdict,
                           std::uint32_t outcome,
                           const job& j,
                           bool opened) noexcept {
  auto* c = mappings_.at(MP_VERDICT_MAPPING(verdict));
  if (c == nullptr)
    return;
  if (mp_is_let_through(outcome) == 0) {
    add_to(c->packets_denied, 1);
    return;
  }
  add_to(c->packets, 1);
  add_to(c->bytes, j.size);
  if (opened)
    add_to(c->flows, 1);
}

} // namespace marchproxy::packet_worker

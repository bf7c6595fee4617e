// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/context.hpp"

#include <utility>

namespace marchproxy::relay {

context::~context() {
  for_each([this](connection& c) { retire(c); });
}

void context::adopt(std::unique_ptr<connection> c) {
  auto& adopted = *c.release();
  live_.insert_before(adopted);
  adopted.start();
}

void context::retire(connection& c) {
  if (!c.linked())
    return;
  c.unlink();
  dead_.emplace_back(&c);
}

decision_record context::begin_flow(entry via, const net::endpoint& source) {
  counters.flows[static_cast<std::size_t>(via)].add();
  counters.active[static_cast<std::size_t>(via)].add();
  decision_record out;
  // An odd constant visits every number before it repeats one, and neighbours look unrelated.
  out.request = next_request_ += 0x9e3779b97f4a7c15;
  out.via = via;
  out.source = source;
  out.started = wall_now();
  return out;
}

void context::judged(decision_record& record, const judgement& j) {
  record.mapping = j.verdict.mapping;
  record.revision = j.verdict.revision;
  record.when_revoked = j.verdict.when_revoked;
  record.drain_seconds = j.verdict.drain_seconds;
  if (j.identity) {
    record.identity = j.identity->service;
    record.credential = j.identity->credential;
  }
  record.allowed = j.allowed();
  record.why = j.why;
  record.observed.reset();
  if (j.observed) {
    observed(record, j);
  } else {
    counters.reasons[static_cast<std::size_t>(j.why)].add();
    (record.allowed ? counters.allowed : counters.denied).add();
  }
  if (j.identity)
    counters.auth_successes.add();
  if (j.why == reason::auth_failed)
    counters.auth_failures.add();
  if (j.verdict.mapping && !j.observed)
    counters.count_mapping(j.verdict.mapping,
                           record.allowed ? &mapping_count::allowed : &mapping_count::denied);
  if (j.limit) {
    record.limit = to_string(*j.limit);
    counters.count_limited(*j.limit);
  }
}

void context::observed(decision_record& record, const judgement& j) {
  record.mapping = j.verdict.mapping;
  record.revision = j.verdict.revision;
  record.why = j.why;
  record.observed = j.why;
  counters.observed[static_cast<std::size_t>(j.why)].add();
  if (j.verdict.mapping)
    counters.count_mapping(j.verdict.mapping, &mapping_count::observed);
}

void context::failed(decision_record& record, reason why) {
  record.why = why;
  counters.reasons[static_cast<std::size_t>(why)].add();
  if (why == reason::resolve_failed || why == reason::connect_failed
      || why == reason::connect_timeout || why == reason::upstream_failed
      || why == reason::upstream_tls_failed)
    counters.upstream_failures.add();
}

void context::end_flow(decision_record&& record) {
  counters.active[static_cast<std::size_t>(record.via)].sub();
  record.ended = wall_now();
  emitted_ = true;
  if (!ring_.push(std::move(record)))
    counters.records_lost.add();
}

} // namespace marchproxy::relay

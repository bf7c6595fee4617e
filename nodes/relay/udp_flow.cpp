// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/udp_flow.hpp"

#include "nodes/relay/judge_way.hpp"

#include <utility>

namespace marchproxy::relay {

udp_flow::udp_flow(context& c,
                   entry via,
                   const net::endpoint& client,
                   const wire::host_port& target,
                   const identity::presented& shown)
  : context_(c),
    target_(target),
    shown_(shown),
    record_(c.begin_flow(via, client)),
    last_moved_(c.loop.now()) {
  record_.protocol = model::protocol::udp;
  record_.asked = target.text();
  record_.name = target.host.name();
  record_.address = target.host.address();
  record_.port = target.port;
}

udp_flow::~udp_flow() {
  context_.end_flow(std::move(record_));
}

question udp_flow::ask() const noexcept {
  return {.source = record_.source.address,
          .name = target_.host.name(),
          .port = target_.port,
          .shown = &shown_,
          .protocol = model::protocol::udp};
}

void udp_flow::start(std::function<void()> then) {
  then_ = std::move(then);
  if (const auto& address = target_.host.address())
    return judge_addresses({*address});
  auto by_name = judge_name(context_.snapshot.get(), ask());
  if (by_name.final_for_name())
    return settle(by_name, std::nullopt);
  context_.resolver.resolve(target_.host.name(), resolution_,
                            [this](const net::resolve_result& answer) { on_resolved(answer); });
}

void udp_flow::on_resolved(const net::resolve_result& answer) {
  // By the snapshot of this turn: the one that the question was asked under may be gone.
  auto by_name = judge_name(context_.snapshot.get(), ask());
  if (by_name.final_for_name())
    return settle(by_name, std::nullopt);
  if (answer) {
    record_.lease_ends = answer->lease_ends;
    return judge_addresses(answer->addresses);
  }
  settle(by_name, std::nullopt);
  // A name that no mapping allows says nothing about whether it exists.
  if (by_name.allowed())
    context_.failed(record_, reason::resolve_failed);
}

void udp_flow::judge_addresses(const std::vector<ip_address>& addresses) {
  std::optional<judgement> refusal;
  std::optional<ip_address> observed; // where it goes although `refusal` refuses it
  for (const auto& address : addresses) {
    auto j = judge_way(context_.snapshot.get(), ask(), address);
    if (j.allowed() && !j.observed)
      return settle(j, address);
    if (!refusal || (j.observed && !observed))
      refusal = j;
    if (j.observed && !observed)
      observed = address;
  }
  settle(refusal.value_or(judgement{}), observed);
}

void udp_flow::settle(judgement j, const std::optional<ip_address>& address) {
  if (j.allowed() && address) {
    auto meters = meters_of(context_.snapshot.get(), ask(), j.verdict.mapping, *address);
    auto got =
      limiting::admission::admit(meters, record_.source.address, {}, limiting::clock::now());
    if (got)
      admitted_ = std::move(*got);
    else
      j = beyond(j, got.error());
  }
  context_.judged(record_, j);
  state_ = j.allowed() && address ? state::open : state::refused;
  if (state_ == state::open) {
    record_.address = address;
  } else {
    record_.lease_ends.reset();
    held_.clear();
  }
  if (auto then = std::exchange(then_, nullptr))
    then();
}

void udp_flow::judge_again() {
  auto q = ask();
  if (record_.identity)
    q.proven = identity::authenticated{record_.identity, record_.credential};
  auto j = judge_way(context_.snapshot.get(), q, *record_.address);
  if (j.allowed()) {
    grace_.end();
    record_.when_revoked = j.verdict.when_revoked;
    record_.drain_seconds = j.verdict.drain_seconds;
    if (j.observed && !record_.observed)
      context_.observed(record_, j);
    auto meters = meters_of(context_.snapshot.get(), q, j.verdict.mapping, *record_.address);
    if (!admitted_.is_under(meters))
      admitted_ = limiting::admission::carry_on(meters, q.source, limiting::clock::now());
    return;
  }
  if (!grace_.spares(record_, j.why, context_.loop, [this] { cut(); }))
    cut();
}

void udp_flow::cut() {
  admitted_ = {};
  context_.failed(record_, reason::revision_changed);
  state_ = state::refused;
}

void udp_flow::hold(std::string_view bytes) {
  if (held_.size() < max_held)
    held_.emplace_back(bytes);
  else
    context_.counters.udp_dropped.add();
}

bool udp_flow::lets_pass(std::size_t bytes) {
  if (!admitted_.metered())
    return true;
  auto got = admitted_.take_packet(bytes, limiting::clock::now());
  if (!got) {
    context_.counters.udp_dropped.add();
    context_.counters.count_limited(got.error());
  }
  return got.has_value();
}

void udp_flow::count_up(std::size_t bytes, std::size_t datagrams) noexcept {
  record_.bytes_up += bytes;
  context_.counters.bytes_up.add(bytes);
  context_.counters.udp_up.add(datagrams);
  last_moved_ = context_.loop.now();
}

void udp_flow::count_down(std::size_t bytes, std::size_t datagrams) noexcept {
  record_.bytes_down += bytes;
  context_.counters.bytes_down.add(bytes);
  context_.counters.udp_down.add(datagrams);
  last_moved_ = context_.loop.now();
}

} // namespace marchproxy::relay

// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/limiting/admission.hpp"

#include <algorithm>

namespace marchproxy::limiting {

namespace {

void leave(const meter::hold& held) noexcept {
  held.buckets().open.fetch_sub(1, std::memory_order_relaxed);
}

bool open_one(std::atomic<std::uint32_t>& open, std::uint32_t most) noexcept {
  auto now = open.load(std::memory_order_relaxed);
  do
    if (most != 0 && now >= most)
      return false;
  while (!open.compare_exchange_weak(now, now + 1, std::memory_order_relaxed));
  return true;
}

} // namespace

std::string to_string(const refused& r) {
  std::string out{to_string(r.of.of)};
  out.append(".").append(std::to_string(r.of.id)).append(".").append(to_string(r.what));
  return out;
}

admission::admission(admission&& other) noexcept
  : holds_(std::move(other.holds_)),
    paced_(std::exchange(other.paced_, false)),
    metered_(std::exchange(other.metered_, false)),
    waiting_(std::exchange(other.waiting_, false)) {}

admission& admission::operator=(admission&& other) noexcept {
  if (this == &other)
    return *this;
  end();
  holds_ = std::move(other.holds_);
  paced_ = std::exchange(other.paced_, false);
  metered_ = std::exchange(other.metered_, false);
  waiting_ = std::exchange(other.waiting_, false);
  return *this;
}

void admission::end() noexcept {
  stop_waiting();
  for (auto& held : holds_) {
    if (held)
      leave(held);
    held = meter::hold{};
  }
  paced_ = metered_ = false;
}

void admission::add(meter::hold held) noexcept {
  const auto& terms = held.of().terms();
  paced_ = paced_ || terms.bytes.has_value();
  metered_ = metered_ || terms.bytes.has_value() || terms.packets.has_value();
  (holds_[0] ? holds_[1] : holds_[0]) = std::move(held);
}

/// Takes of every limit of one meter, or of none.
std::optional<refused>
admission::enter(const meter::hold& held, demand wanted, clock::time_point now) noexcept {
  const auto& m = held.of();
  const auto& terms = m.terms();
  auto& buckets = held.buckets();
  const auto since = m.since(now);
  const auto take = [&](bool wants, const std::optional<bucket_terms>& t, bucket& b) {
    return !wants || !t || b.take(*t, 1, t->at(since));
  };
  const auto beyond = [&](limit_kind what, const bucket_terms& t, const bucket& b) {
    return refused{m.of(), what, b.wait_for(t, 1, t.at(since))};
  };
  if (!open_one(buckets.open, terms.max_connections))
    return refused{m.of(), limit_kind::max_connections, {}};
  if (!take(wanted.connection, terms.connections, buckets.connections)) {
    leave(held);
    return beyond(limit_kind::connections, *terms.connections, buckets.connections);
  }
  if (!take(wanted.request, terms.requests, buckets.requests)) {
    if (wanted.connection && terms.connections)
      buckets.connections.give_back(*terms.connections, 1);
    leave(held);
    return beyond(limit_kind::requests, *terms.requests, buckets.requests);
  }
  return std::nullopt;
}

tl::expected<admission, refused> admission::admit(const flow_meters& meters,
                                                  const ip_address& source,
                                                  demand wanted,
                                                  clock::time_point now) {
  admission out;
  for (const auto& m : meters) {
    if (!m)
      continue;
    meter::hold held{m, source, now};
    if (auto stands = enter(held, wanted, now)) {
      if (const auto& first = out.holds_[0]) {
        const auto& terms = first.of().terms();
        if (wanted.connection && terms.connections)
          first.buckets().connections.give_back(*terms.connections, 1);
        if (wanted.request && terms.requests)
          first.buckets().requests.give_back(*terms.requests, 1);
      }
      return tl::unexpected(*stands);
    }
    out.add(std::move(held));
  }
  return out;
}

admission
admission::carry_on(const flow_meters& meters, const ip_address& source, clock::time_point now) {
  admission out;
  for (const auto& m : meters) {
    if (!m)
      continue;
    meter::hold held{m, source, now};
    (void)open_one(held.buckets().open, 0);
    out.add(std::move(held));
  }
  return out;
}

bool admission::is_under(const flow_meters& meters) const noexcept {
  std::size_t at = 0;
  for (const auto& m : meters)
    if (m && (at == holds_.size() || !holds_[at] || &holds_[at++].of() != m.get()))
      return false;
  return at == holds_.size() || !holds_[at];
}

std::uint64_t admission::take_bytes(std::uint64_t most, clock::time_point now) noexcept {
  auto taken = most;
  for (std::size_t i = 0; i < holds_.size() && taken > 0; ++i) {
    if (!holds_[i] || !holds_[i].of().terms().bytes)
      continue;
    const auto& terms = *holds_[i].of().terms().bytes;
    const auto here = holds_[i].buckets().bytes.take_some(
      terms, std::min(taken, terms.portion()), taken, terms.at(holds_[i].of().since(now)));
    // The first may have given more than the second has.
    if (i == 1 && here < taken && holds_[0].of().terms().bytes)
      holds_[0].buckets().bytes.give_back(*holds_[0].of().terms().bytes, taken - here);
    taken = here;
  }
  return taken;
}

void admission::give_back_bytes(std::uint64_t bytes) noexcept {
  for (const auto& held : holds_)
    if (held && held.of().terms().bytes)
      held.buckets().bytes.give_back(*held.of().terms().bytes, bytes);
}

/// One packet and its bytes of one meter, or nothing.
std::optional<refused> admission::take_packet_of(const meter::hold& held,
                                                 std::uint64_t bytes,
                                                 clock::time_point now) noexcept {
  const auto& m = held.of();
  const auto& terms = m.terms();
  auto& buckets = held.buckets();
  const auto since = m.since(now);
  const auto beyond = [&](limit_kind what, const bucket_terms& t, const bucket& b, auto tokens) {
    return refused{m.of(), what, b.wait_for(t, tokens, t.at(since))};
  };
  if (terms.packets && !buckets.packets.take(*terms.packets, 1, terms.packets->at(since)))
    return beyond(limit_kind::packets, *terms.packets, buckets.packets, 1U);
  if (terms.bytes && !buckets.bytes.take(*terms.bytes, bytes, terms.bytes->at(since))) {
    if (terms.packets)
      buckets.packets.give_back(*terms.packets, 1);
    return beyond(limit_kind::bytes, *terms.bytes, buckets.bytes, bytes);
  }
  return std::nullopt;
}

tl::expected<void, refused> admission::take_packet(std::uint64_t bytes,
                                                   clock::time_point now) noexcept {
  for (std::size_t i = 0; i < holds_.size() && holds_[i]; ++i) {
    const auto stands = take_packet_of(holds_[i], bytes, now);
    if (!stands)
      continue;
    if (i == 1) {
      const auto& first = holds_[0].of().terms();
      if (first.packets)
        holds_[0].buckets().packets.give_back(*first.packets, 1);
      if (first.bytes)
        holds_[0].buckets().bytes.give_back(*first.bytes, bytes);
    }
    return tl::unexpected(*stands);
  }
  return {};
}

duration admission::wait_for_bytes(clock::time_point now) noexcept {
  duration out{0};
  for (const auto& held : holds_) {
    if (!held || !held.of().terms().bytes)
      continue;
    const auto& terms = *held.of().terms().bytes;
    const auto here =
      held.buckets().bytes.wait_for(terms, terms.portion(), terms.at(held.of().since(now)));
    const auto before_us =
      held.buckets().waiting.fetch_add(waiting_ ? 0 : 1, std::memory_order_relaxed);
    const auto turns = before_us - (waiting_ ? 1 : 0);
    out = std::max(out, here + turns * terms.time_for(terms.fixed(terms.portion())));
  }
  waiting_ = true;
  return out;
}

void admission::stop_waiting() noexcept {
  if (!std::exchange(waiting_, false))
    return;
  for (const auto& held : holds_)
    if (held && held.of().terms().bytes)
      held.buckets().waiting.fetch_sub(1, std::memory_order_relaxed);
}

} // namespace marchproxy::limiting

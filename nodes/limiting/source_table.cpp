// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/limiting/source_table.hpp"

#include <cstddef>
#include <random>

namespace marchproxy::limiting {

namespace {

std::optional<bucket_terms> terms_of(const std::optional<model::rate_limit>& limit) {
  return limit ? std::optional{bucket_terms{*limit}} : std::nullopt;
}

std::uint64_t random_seed() {
  std::random_device random;
  return static_cast<std::uint64_t>(random()) << 32 | random();
}

/// MurmurHash3's finalizer: each bit of the key moves each bit of the hash.
std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccd;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53;
  return x ^ (x >> 33);
}

} // namespace

limit_terms::limit_terms(const model::limits& limits)
  : connections(terms_of(limits.connections)),
    requests(terms_of(limits.requests)),
    packets(terms_of(limits.packets)),
    bytes(terms_of(limits.bytes)),
    max_connections(limits.max_connections.value_or(0)) {}

bool bucket_set::fresh(const limit_terms& terms, duration since) const noexcept {
  const auto full = [&](const bucket& b, const std::optional<bucket_terms>& t) {
    return !t || b.full(t->at(since));
  };
  return open.load(std::memory_order_relaxed) == 0 && full(connections, terms.connections)
         && full(requests, terms.requests) && full(packets, terms.packets)
         && full(bytes, terms.bytes);
}

void bucket_set::copy_spent(const bucket_set& other) noexcept {
  connections.copy(other.connections);
  requests.copy(other.requests);
  packets.copy(other.packets);
  bytes.copy(other.bytes);
}

std::uint64_t source_key(const ip_address& source) noexcept {
  // ff00::/8 is multicast and no source, so IPv4 addresses and what stands for ::/64 lie there.
  constexpr std::uint64_t v4 = 0xffff'0000'0000'0000;
  constexpr std::uint64_t zero = 0xfffe'0000'0000'0000;
  if (source.family == ip_family::v4)
    return v4 | source.v4_host_order();
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < 8; ++i)
    out = out << 8 | source.bytes[i];
  return out != 0 ? out : zero;
}

source_table::source_table(const limit_terms& terms, std::size_t places)
  : terms_(terms),
    seed_(random_seed()),
    mask_(places - 1),
    places_(std::make_unique<place[]>(places)) {
  static_assert(sizeof(place) == 64, "a place is one cache line");
}

bucket_set& source_table::hold(std::uint64_t key, duration since) {
  const auto hash = mix(key ^ seed_);
  if (auto* found = find(key, hash))
    return *found;
  return settle(key, hash, since);
}

/// A place may become another's between the look at its key and the hold, so the key is looked at
/// again: while somebody holds it, it stays.
source_table::place* source_table::find(std::uint64_t key, std::uint64_t hash) const noexcept {
  for (std::size_t step = 0; step < reach; ++step) {
    auto& p = at(hash, step);
    if (p.key.load(std::memory_order_acquire) != key)
      continue;
    const auto before = p.holders.fetch_add(1, std::memory_order_acq_rel);
    if ((before & claimed) == 0 && p.key.load(std::memory_order_acquire) == key)
      return &p;
    p.holders.fetch_sub(1, std::memory_order_acq_rel);
  }
  return nullptr;
}

/// Only here do places change hands, and only one at a time: no source gets two.
bucket_set& source_table::settle(std::uint64_t key, std::uint64_t hash, duration since) {
  std::lock_guard lock{settling_};
  if (auto* found = find(key, hash))
    return *found;
  for (std::size_t step = 0; step < reach; ++step) {
    auto& p = at(hash, step);
    if (!claim(p, since))
      continue;
    p.copy_spent(crowd_);
    p.key.store(key, std::memory_order_release);
    p.holders.fetch_sub(claimed - 1, std::memory_order_acq_rel); // the claim becomes a hold
    return p;
  }
  crowded_.fetch_add(1, std::memory_order_relaxed);
  return crowd_;
}

bool source_table::claim(place& p, duration since) const noexcept {
  std::uint32_t nobody = 0;
  if (!p.fresh(terms_, since)
      || !p.holders.compare_exchange_strong(nobody, claimed, std::memory_order_acq_rel))
    return false;
  // Its source may have come and gone since.
  if (p.fresh(terms_, since))
    return true;
  p.holders.fetch_sub(claimed, std::memory_order_acq_rel);
  return false;
}

void source_table::release(bucket_set& held) noexcept {
  if (&held != &crowd_)
    static_cast<place&>(held).holders.fetch_sub(1, std::memory_order_acq_rel);
}

} // namespace marchproxy::limiting

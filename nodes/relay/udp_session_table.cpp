// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/udp_session_table.hpp"

#include "actors/base/error.hpp"

#include <array>
#include <cstring>
#include <utility>

namespace marchproxy::relay {

namespace {

/// Both halves of the product, folded: each bit of either number reaches each bit of the result.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  using wide = unsigned __int128;
  const auto product = static_cast<wide>(a ^ 0x9e3779b97f4a7c15U) * (b ^ 0xe7037ed1a0b428dbU);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t mix(const ip_address& address, std::uint64_t port, std::uint64_t seed) noexcept {
  std::array<std::uint64_t, 2> words{};
  std::memcpy(words.data(), address.bytes.data(), sizeof words);
  return mix(
    mix(words[0] ^ seed, words[1] ^ port << 8 ^ static_cast<std::uint64_t>(address.family)), seed);
}

/// Whose sessions are counted together: a host of IPv6 has a /64 to choose addresses from.
ip_address counted_as(const ip_address& source) noexcept {
  return source.family == ip_family::v4 ? source : make_prefix(source, 64).base;
}

void move_to_back(net::list_node& list, net::list_node& node) noexcept {
  node.unlink();
  list.insert_before(node);
}

} // namespace

std::size_t udp_session_table::key_hash::operator()(const udp_session_key& key) const noexcept {
  return mix(key.to.address, key.to.port, mix(key.client.address, key.client.port, seed));
}

std::size_t udp_session_table::source_hash::operator()(const ip_address& source) const noexcept {
  return mix(source, 0, seed);
}

udp_session_table::udp_session_table(const caps& most, std::uint64_t seed)
  : most_(most), sessions_(0, key_hash{seed}), sources_(0, source_hash{seed}) {}

udp_session_entry* udp_session_table::find(const udp_session_key& key) noexcept {
  auto found = sessions_.find(key);
  return found == sessions_.end() ? nullptr : found->second.get();
}

udp_session_table::room udp_session_table::room_for(const ip_address& from) noexcept {
  auto found = sources_.find(counted_as(from));
  if (found != sources_.end() && found->second.count >= most_.of_source)
    return {false, static_cast<udp_session_entry*>(
                     static_cast<of_source*>(found->second.sessions.next()))};
  if (sessions_.size() < most_.sessions)
    return {};
  return {false, begun_.linked() ? &entry_of(*begun_.next()) : nullptr};
}

void udp_session_table::insert(std::unique_ptr<udp_session_entry> session,
                               net::clock::time_point now) {
  auto& added = *session;
  auto [at, fresh] = sessions_.emplace(added.key_, std::move(session));
  MP_INVARIANT(fresh);
  auto& from = sources_[counted_as(added.key_.client.address)];
  ++from.count;
  from.sessions.insert_before(static_cast<of_source&>(added));
  added.of_its_source_ = &from.sessions;
  begun_.insert_before(static_cast<by_use&>(added));
  added.last_use_ = now;
}

void udp_session_table::erase(udp_session_entry& session) {
  auto from = sources_.find(counted_as(session.key_.client.address));
  static_cast<of_source&>(session).unlink();
  if (--from->second.count == 0)
    sources_.erase(from);
  sessions_.erase(sessions_.find(session.key_));
}

void udp_session_table::used(udp_session_entry& session, net::clock::time_point now) noexcept {
  if (session.last_use_ == now)
    return; // in this turn of the loop already
  session.last_use_ = now;
  move_to_back(session.established_ ? established_ : begun_, static_cast<by_use&>(session));
  move_to_back(*session.of_its_source_, static_cast<of_source&>(session));
}

void udp_session_table::establish(udp_session_entry& session) noexcept {
  if (std::exchange(session.established_, true))
    return;
  move_to_back(established_, static_cast<by_use&>(session));
}

udp_session_entry* udp_session_table::oldest() noexcept {
  udp_session_entry* out = nullptr;
  for (auto* list : {&begun_, &established_})
    if (list->linked())
      if (auto& first = entry_of(*list->next()); out == nullptr || first.last_use_ < out->last_use_)
        out = &first;
  return out;
}

} // namespace marchproxy::relay

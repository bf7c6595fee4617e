// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "dpdk/worker/flow_table.hpp"

#include "actors/base/error.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace marchproxy::packet_worker {

namespace {

/// Ticks below which no connection is over: the shortest of the idle times.
constexpr std::uint32_t least_silence = MP_IDLE_CLOSED >> flow_table::tick_bits;

} // namespace

template <class T>
flow_table::mapped<T> flow_table::map(std::size_t count) {
  auto size = count * sizeof(T);
  auto* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MP_INVARIANT(memory != MAP_FAILED);
  // Large pages, where the kernel has them: else nearly every entry misses the TLB.
  ::madvise(memory, size, MADV_HUGEPAGE);
  std::memset(memory, 0, size);
  return mapped<T>{static_cast<T*>(memory), unmap{size}};
}

flow_table::flow_table(std::size_t connections,
                       const hash_seed& seed,
                       std::function<void(const flow_entry&)> gone)
  : mask_(std::bit_ceil(std::max(connections, ways) / ways + (connections % ways != 0 ? 1 : 0))
          - 1),
    seed_(seed),
    sets_(map<set>(mask_ + 1)),
    entries_(map<flow_entry>((mask_ + 1) * ways)),
    sources_((mask_ + 1) * ways, seed),
    gone_(std::move(gone)) {}

std::uint32_t flow_table::matching(const set& s, std::uint16_t tag) noexcept {
#ifdef __SSE2__
  auto wanted = _mm_set1_epi16(static_cast<short>(tag));
  auto half = [&](std::size_t first) {
    return _mm_cmpeq_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(s.tag.data() + first)),
                           wanted);
  };
  return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(half(0), half(8))));
#else
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < ways; ++i)
    out |= static_cast<std::uint32_t>(s.tag[i] == tag) << i;
  return out;
#endif
}

bool flow_table::ahead_entry(std::uint64_t hash) const noexcept {
  auto at = set_of(hash);
  auto found = matching(sets_[at], tag_of(hash));
  if (found == 0)
    return false;
  fetch(entries_[at * ways + static_cast<std::size_t>(std::countr_zero(found))]);
  return true;
}

void flow_table::ahead_insert(std::uint64_t hash, std::uint64_t now) const noexcept {
  auto at = set_of(hash);
  fetch(entries_[at * ways + place(sets_[at], tick_of(now))]);
}

flow_entry* flow_table::find(const mp_flow_key& key, std::uint64_t hash) noexcept {
  auto at = set_of(hash);
  for (auto found = matching(sets_[at], tag_of(hash)); found != 0; found &= found - 1) {
    auto* entry = &entries_[at * ways + static_cast<std::size_t>(std::countr_zero(found))];
    if (std::memcmp(&entry->key, &key, sizeof key) == 0)
      return entry;
  }
  return nullptr;
}

std::size_t flow_table::victim(const set& s, std::uint16_t tick) noexcept {
  std::size_t out = 0;
  std::uint32_t most = 0;
  for (std::size_t i = 0; i < ways; ++i) {
    auto idle = static_cast<std::uint32_t>(tick - s.age[i]) & 0x7fffU;
    auto worth_less = (s.age[i] & confirmed_bit) == 0 ? 0x8000U : 0U;
    auto score = (idle | worth_less) + 1;
    if (score > most) {
      most = score;
      out = i;
    }
  }
  return out;
}

/// A free way, or the one that has to go.
std::size_t flow_table::place(const set& s, std::uint16_t tick) noexcept {
  auto free = matching(s, 0);
  return free != 0 ? static_cast<std::size_t>(std::countr_zero(free)) : victim(s, tick);
}

flow_entry*
flow_table::insert(const mp_flow_key& key, std::uint64_t hash, std::uint64_t now) noexcept {
  auto at = set_of(hash);
  auto& s = sets_[at];
  auto way = place(s, tick_of(now));
  auto* entry = &entries_[at * ways + way];
  if (s.tag[way] == 0) {
    ++size_;
  } else {
    ++evicted_;
    forget(*entry);
  }
  s.tag[way] = tag_of(hash);
  s.age[way] = tick_of(now);
  *entry = flow_entry{.key = key};
  return entry;
}

void flow_table::forget(const flow_entry& entry) noexcept {
  if (entry.confirmed())
    sources_.remove(mp_counted_source(entry.opened_by()));
  if ((entry.flow.flags & MP_FLOW_HELD) != 0 && gone_)
    gone_(entry);
}

void flow_table::confirm(flow_entry* entry) noexcept {
  entry->flow.flags |= MP_FLOW_CONFIRMED;
  sources_.add(mp_counted_source(entry->opened_by()));
}

void flow_table::erase(flow_entry* entry) noexcept {
  auto index = static_cast<std::size_t>(entry - entries_.get());
  sets_[index / ways].tag[index % ways] = 0;
  --size_;
  forget(*entry);
}

void flow_table::touch(flow_entry* entry, std::uint64_t now) noexcept {
  auto index = static_cast<std::size_t>(entry - entries_.get());
  auto& age = sets_[index / ways].age[index % ways];
  auto next = static_cast<std::uint16_t>(tick_of(now) | (entry->confirmed() ? confirmed_bit : 0U));
  if (age != next) // most packets leave the line clean
    age = next;
}

void flow_table::sweep(std::uint64_t now) noexcept {
  const auto& s = sets_[swept_];
  for (std::size_t way = 0; way < ways; ++way) {
    auto idle = static_cast<std::uint32_t>(tick_of(now) - s.age[way]) & 0x7fffU;
    if (s.tag[way] == 0 || idle < least_silence)
      continue;
    if (auto* entry = &entries_[swept_ * ways + way]; mp_is_silent(&entry->flow, now) != 0)
      erase(entry);
  }
  swept_ = (swept_ + 1) & mask_;
  __builtin_prefetch(&sets_[swept_]);
}

} // namespace marchproxy::packet_worker

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/abi/flow.h"
#include "dpdk/worker/flow_hash.hpp"
#include "dpdk/worker/source_table.hpp"

#include <sys/mman.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace marchproxy::packet_worker {

/// Where a connection's packets of one direction leave, as it was looked up last.
struct cached_hop {
  std::uint32_t generation = 0; ///< of the forwarding table that says so; 0: none
  std::uint32_t hop = 0;
};

/// A connection and its two cached hops, by direction as in mp_flow: two lines of memory.
struct alignas(64) flow_entry {
  mp_flow_key key{};
  mp_flow flow{};
  std::array<cached_hop, 2> hops{};

  /// Both ends have spoken, and the first again (mp_is_confirmed).
  [[nodiscard]] bool confirmed() const noexcept { return (flow.flags & MP_FLOW_CONFIRMED) != 0; }
  [[nodiscard]] const mp_address& opened_by() const noexcept {
    return flow.originator != 0 ? key.ends.destination : key.ends.source;
  }
};
static_assert(sizeof(flow_entry) == 128);

/// The connections of one worker: fixed memory, no lock. A key has one set of 16 places; the set's
/// tags and ages lie in one line, so a miss costs one line and a hit three.
///
/// A full set loses the entry that was idle longest, those first that are not confirmed: a flood of
/// openings or of datagrams cannot push out a conversation. Confirmed connections are counted by
/// source.
///
/// Threads: the worker's only. hot path
class flow_table {
public:
  static constexpr std::size_t ways = 16;
  /// Ticks of the coarse clock in which ages are kept: 0.27 s. An age has 15 bits, 2.4 h: longer
  /// than the longest idle time of an entry (MP_IDLE_ESTABLISHED).
  static constexpr unsigned tick_bits = 28;

  /// Memory for at least @p connections, rounded up to a power of two; 132 bytes each. All of it is
  /// touched here. Ends the process when the memory is not there.
  /// @param gone  told of each connection that held something (MP_FLOW_HELD) when it leaves
  flow_table(std::size_t connections,
             const hash_seed& seed,
             std::function<void(const flow_entry&)> gone = {});

  /// Confirmed connections that @p source opened, of IPv6 its /64.
  [[nodiscard]] std::uint32_t held_by(const mp_address& source) const noexcept {
    return sources_.held(mp_counted_source(source));
  }
  void confirm(flow_entry* entry) noexcept;
  /// Removes what is over from one set, the next in turn: in time entries that nothing comes for
  /// any more count no longer.
  void sweep(std::uint64_t now) noexcept;

  [[nodiscard]] std::uint64_t hash(const mp_flow_key& key) const noexcept {
    return flow_hash(key, seed_);
  }
  /// Has the set of a key fetched.
  void ahead(std::uint64_t hash) const noexcept { __builtin_prefetch(&sets_[set_of(hash)]); }
  /// Has the entry fetched that the key probably has. @return false when there is none for sure
  bool ahead_entry(std::uint64_t hash) const noexcept;
  /// Has the place fetched that insert() would take now.
  void ahead_insert(std::uint64_t hash, std::uint64_t now) const noexcept;
  /// Has fetched what held_by() reads.
  void ahead_held(const mp_address& source) const noexcept {
    sources_.ahead(mp_counted_source(source));
  }
  /// The entry of a key, or null.
  [[nodiscard]] flow_entry* find(const mp_flow_key& key, std::uint64_t hash) noexcept;
  /// A place for a key that find() did not find, its key set and the rest 0.
  [[nodiscard]] flow_entry*
  insert(const mp_flow_key& key, std::uint64_t hash, std::uint64_t now) noexcept;
  void erase(flow_entry* entry) noexcept;
  /// The entry was used at @p now (ns).
  void touch(flow_entry* entry, std::uint64_t now) noexcept;

  [[nodiscard]] std::size_t capacity() const noexcept { return (mask_ + 1) * ways; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Entries that had to make room for others.
  [[nodiscard]] std::uint64_t evicted() const noexcept { return evicted_; }
  /// Calls @p with for each entry.
  template <class With>
  void each(With with) const {
    for (std::size_t i = 0; i < capacity(); ++i)
      if (sets_[i / ways].tag[i % ways] != 0)
        with(entries_[i]);
  }

private:
  struct alignas(64) set {
    std::array<std::uint16_t, ways> tag{}; ///< of the hash; 0 = free
    std::array<std::uint16_t, ways> age{}; ///< tick of the last use, and `confirmed_bit`
  };
  static_assert(sizeof(set) == 64);
  static constexpr std::uint16_t confirmed_bit = 0x8000;
  struct unmap {
    std::size_t size = 0;
    void operator()(void* memory) const noexcept { ::munmap(memory, size); }
  };
  template <class T>
  using mapped = std::unique_ptr<T[], unmap>;
  template <class T>
  static mapped<T> map(std::size_t count);

  [[nodiscard]] std::size_t set_of(std::uint64_t hash) const noexcept {
    return static_cast<std::size_t>(hash >> 16) & mask_;
  }
  [[nodiscard]] static std::uint16_t tag_of(std::uint64_t hash) noexcept {
    auto tag = static_cast<std::uint16_t>(hash);
    return tag != 0 ? tag : 1;
  }
  void forget(const flow_entry& entry) noexcept;
  [[nodiscard]] static std::uint32_t matching(const set& s, std::uint16_t tag) noexcept;
  [[nodiscard]] static std::size_t place(const set& s, std::uint16_t tick) noexcept;
  static void fetch(const flow_entry& entry) noexcept {
    __builtin_prefetch(&entry, 1);
    __builtin_prefetch(&entry.flow.packets, 1);
  }
  [[nodiscard]] static std::size_t victim(const set& s, std::uint16_t tick) noexcept;
  [[nodiscard]] static std::uint16_t tick_of(std::uint64_t now) noexcept {
    return static_cast<std::uint16_t>((now >> tick_bits) & 0x7fff);
  }

  std::size_t mask_; ///< sets - 1
  hash_seed seed_;
  mapped<set> sets_;
  mapped<flow_entry> entries_;
  source_table sources_;
  std::function<void(const flow_entry&)> gone_;
  std::size_t swept_ = 0; ///< the set that is next
  std::size_t size_ = 0;
  std::uint64_t evicted_ = 0;
};

} // namespace marchproxy::packet_worker

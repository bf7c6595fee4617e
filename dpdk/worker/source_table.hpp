// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/abi/flow.h"
#include "dpdk/worker/flow_hash.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace marchproxy::packet_worker {

/// How many confirmed connections each source has, of one worker. Fixed memory: open addressing, at
/// most half full.
class source_table {
public:
  /// @param most  sources at a time; adding more is the caller's mistake
  source_table(std::size_t most, const hash_seed& seed)
    : places_(std::bit_ceil(2 * most + 2)), seed_(seed) {}

  /// @param source  as mp_counted_source() gives it
  [[nodiscard]] std::uint32_t held(const mp_address& source) const noexcept {
    return places_[place_of(source)].count;
  }
  void ahead(const mp_address& source) const noexcept {
    __builtin_prefetch(&places_[home_of(source)]);
  }
  void add(const mp_address& source) noexcept {
    auto& p = places_[place_of(source)];
    p.source = source;
    ++p.count;
  }
  /// One that was added.
  void remove(const mp_address& source) noexcept {
    auto at = place_of(source);
    if (--places_[at].count == 0)
      close_gap(at);
  }

private:
  struct place {
    mp_address source{};
    std::uint32_t count = 0; ///< 0: free
  };

  [[nodiscard]] std::size_t home_of(const mp_address& a) const noexcept {
    auto mixed = (a.word[0] ^ seed_[0]) * 0x9e37'79b9'7f4a'7c15ULL + (a.word[1] ^ seed_[1]);
    mixed = (mixed ^ mixed >> 32) * 0xd6e8'feb8'6659'fd93ULL;
    return static_cast<std::size_t>(mixed >> 24) & mask();
  }
  /// Of the source, or the free one where it belongs.
  [[nodiscard]] std::size_t place_of(const mp_address& a) const noexcept {
    auto at = home_of(a);
    while (places_[at].count != 0
           && (places_[at].source.word[0] != a.word[0] || places_[at].source.word[1] != a.word[1]))
      at = (at + 1) & mask();
    return at;
  }
  /// Moves up what a search would not find any more behind a free place.
  void close_gap(std::size_t gap) noexcept {
    for (auto at = (gap + 1) & mask(); places_[at].count != 0; at = (at + 1) & mask()) {
      auto away = (at - home_of(places_[at].source)) & mask(); // from where it belongs
      if (away < ((at - gap) & mask()))
        continue;
      places_[gap] = places_[at];
      places_[at] = place{};
      gap = at;
    }
  }
  [[nodiscard]] std::size_t mask() const noexcept { return places_.size() - 1; }

  std::vector<place> places_;
  hash_seed seed_;
};

} // namespace marchproxy::packet_worker

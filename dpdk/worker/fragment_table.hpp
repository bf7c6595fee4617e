// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/abi/flow.h"
#include "dpdk/worker/flow_hash.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

namespace marchproxy::packet_worker {

/// Datagrams in fragments whose first was let through, of one worker: fixed memory, sets of four,
/// of which the oldest makes room. hot path
class fragment_table {
public:
  explicit fragment_table(const hash_seed& seed)
    : seed_(seed), sets_(std::make_unique<set[]>(set_count)) {}

  /// Null when the datagram is not known.
  [[nodiscard]] const mp_fragment* find(const mp_fragment_key& key) const noexcept {
    for (const auto& e : sets_[set_of(key)])
      if (e.value.seen != 0 && std::memcmp(&e.key, &key, sizeof key) == 0)
        return &e.value;
    return nullptr;
  }
  void enter(const mp_fragment_key& key, const mp_fragment& value) noexcept {
    auto& s = sets_[set_of(key)];
    auto* place = &s.front();
    for (auto& e : s) {
      if (std::memcmp(&e.key, &key, sizeof key) == 0) {
        place = &e;
        break;
      }
      if (e.value.seen < place->value.seen)
        place = &e;
    }
    *place = {key, value, 0};
  }

private:
  static constexpr std::size_t set_count = 4'096;
  struct alignas(64) entry {
    mp_fragment_key key{};
    mp_fragment value{}; ///< seen 0: free
    std::uint64_t pad = 0;
  };
  using set = std::array<entry, 4>;

  [[nodiscard]] std::size_t set_of(const mp_fragment_key& key) const noexcept {
    return static_cast<std::size_t>(flow_hash(key, seed_) % set_count);
  }

  hash_seed seed_;
  std::unique_ptr<set[]> sets_;
};

} // namespace marchproxy::packet_worker

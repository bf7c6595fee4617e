// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/policy/program.hpp"
#include "bpf/abi/flow.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace marchproxy::packet_worker {

/// Counters of the mappings, of one worker: blocks, each for MP_BLOCK_MAPPINGS neighbouring ids of
/// which one at least can decide something, as in the tc program's maps.
class mapping_counters {
public:
  static constexpr std::size_t of_block = std::size_t{MP_CHUNK_MAPPINGS} * MP_BLOCK_CHUNKS;
  using block = std::array<mp_mapping_counters, of_block>;

  // Control thread.

  /// Makes what is missing for the active mappings of @p program.
  /// @errors too_large for an id above MP_COUNTED_MAX
  [[nodiscard]] result<void> add(const policy::program& program);
  /// Takes the blocks out that have no mapping of @p program (null: all). They are to be kept until
  /// the worker has passed.
  [[nodiscard]] std::vector<std::unique_ptr<block>> keep_only(const policy::program* program);
  /// Adds this worker's to @p sums, for each active mapping of @p program.
  void read(const policy::program& program,
            std::unordered_map<mapping_id, mp_mapping_counters>& sums) const;

  // Worker.

  /// Null for an id without counters.
  [[nodiscard]] mp_mapping_counters* at(std::uint64_t mapping) const noexcept {
    if (mapping == 0 || mapping > MP_COUNTED_MAX)
      return nullptr;
    auto* found = directory_[mapping / of_block].load(std::memory_order_acquire);
    return found != nullptr ? &(*found)[mapping % of_block] : nullptr;
  }

private:
  using directory = std::atomic<block*>[];
  std::unique_ptr<directory> directory_{std::make_unique<std::atomic<block*>[]>(MP_COUNTER_BLOCKS)};
  std::unordered_map<std::uint32_t, std::unique_ptr<block>> blocks_; ///< by index in directory_
};

} // namespace marchproxy::packet_worker

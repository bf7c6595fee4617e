// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/policy/program.hpp"
#include "bpf/abi/flow.h"
#include "bpf/loader/descriptor.hpp"
#include "bpf/loader/installer.hpp"

#include <cstdint>
#include <unordered_map>

namespace marchproxy::tier_ebpf {

/// Makes one block of counters. Takes CAP_BPF. @errors unavailable
[[nodiscard]] result<descriptor> make_counter_block();

/// The kernel maps of the mapping counters: blocks, each for MP_BLOCK_MAPPINGS neighbouring ids of
/// which one at least can decide something. A mapping that is switched off and on again goes on
/// where it was, as long as a neighbour kept its block.
class counter_entries {
public:
  /// @param fd  the map of the blocks; not owned
  /// @param by  makes blocks; not owned
  counter_entries(int fd, installer* by) noexcept : fd_(fd), by_(by) {}

  /// Makes what is missing for the active mappings of @p program.
  /// @errors too_large for an id above MP_COUNTED_MAX; unavailable
  [[nodiscard]] result<void> add(const policy::program& program);
  /// Removes the blocks that have no mapping of it. Null: all.
  void keep_only(const policy::program* program);
  /// Sums over CPUs, for each active mapping of @p program.
  [[nodiscard]] std::unordered_map<mapping_id, mp_mapping_counters>
  read(const policy::program& program) const;

private:
  int fd_;
  installer* by_;
  std::unordered_map<std::uint32_t, descriptor> blocks_; ///< by key
};

} // namespace marchproxy::tier_ebpf

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/policy/program.hpp"
#include "bpf/abi/flow.h"

#include <cstdint>
#include <unordered_map>
#include <unordered_set>

namespace marchproxy::tier_ebpf {

/// The kernel map of the mapping counters, whose entries exist exactly for the mappings that can
/// decide something. A mapping that is switched off and on again goes on where it was, as long as
/// a neighbour kept its entry.
class counter_entries {
public:
  explicit counter_entries(int fd) noexcept : fd_(fd) {}

  /// Makes what is missing for the active mappings of @p program.
  /// Waits up to five seconds for the kernel's per-CPU allocator, which fills up in the background.
  /// @errors too_large for an id beyond 32 bits; unavailable
  [[nodiscard]] result<void> add(const policy::program& program);
  /// Removes the entries of all other mappings. Null: of all.
  void keep_only(const policy::program* program);
  /// Sums over CPUs, for each active mapping of @p program.
  [[nodiscard]] std::unordered_map<mapping_id, mp_mapping_counters>
  read(const policy::program& program) const;

private:
  int fd_;
  std::unordered_set<std::uint64_t> known_; ///< keys
};

} // namespace marchproxy::tier_ebpf

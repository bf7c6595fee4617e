// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/policy/program.hpp"
#include "bpf/abi/limit.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace marchproxy::tier_ebpf {

/// As the model's fields are named.
[[nodiscard]] std::string_view to_string(mp_limit_kind kind) noexcept;

/// What the limits of a mapping or a service stopped.
struct limited_count {
  std::uint64_t id = 0;
  bool of_service = false;
  std::array<std::uint64_t, MP_LIMIT_COUNT> refused{}; ///< packets, by mp_limit_kind
  std::uint64_t crowded = 0; ///< packets whose source shared with others, for want of a place
};

/// The kernel maps that say how much of the limits is used. What is used outlives revisions that do
/// not change the limits.
class limit_meters {
public:
  struct fd_set {
    int meters = -1;
    int source_meters = -1;
    int open_connections = -1;
  };
  /// @param fds  not owned
  explicit limit_meters(fd_set fds) noexcept : fds_(fds) {}

  /// Makes what is missing for the limits of @p program.
  /// @errors too_large; conflict when other limits have the same key (once in 2^31 changes);
  /// unavailable with the kernel's reason
  [[nodiscard]] result<void> add(const policy::program& program);
  /// Removes what has no limits of it. Null: all.
  void keep_only(const policy::program* program);
  [[nodiscard]] std::vector<limited_count> read(const policy::program& program) const;

  struct key_hash {
    std::size_t operator()(const mp_meter_key& k) const noexcept {
      return std::hash<std::uint64_t>{}((k.limits ^ k.source.word[0]) * 0x9e3779b97f4a7c15ULL
                                        ^ k.source.word[1]);
    }
  };
  struct same_key {
    bool operator()(const mp_meter_key& a, const mp_meter_key& b) const noexcept {
      return a.limits == b.limits && a.source.word[0] == b.source.word[0]
             && a.source.word[1] == b.source.word[1];
    }
  };
  /// Open connections of each who shares a limit.
  using open_counts = std::unordered_map<mp_meter_key, std::uint32_t, key_hash, same_key>;
  /// Counts what a connection holds.
  static void count(const mp_flow_key& key, const mp_flow& flow, open_counts& to);
  /// Makes the kernel's numbers those that were counted, and gives up the buckets of sources that
  /// are full.
  void sweep(const open_counts& counted) const;

private:
  fd_set fds_;
  std::unordered_map<std::uint32_t, mp_limits> known_; ///< in the map of meters, by key
};

} // namespace marchproxy::tier_ebpf

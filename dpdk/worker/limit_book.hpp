// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/program.hpp"
#include "bpf/loader/limit_meters.hpp"
#include "nodes/limiting/meter.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace marchproxy::packet_worker {

/// The limits of a revision, and how much of them is used (POL-7). All workers share it; nothing in
/// it changes but what is used.
class limit_book {
public:
  /// What @p before has used goes on where the limits are the same.
  /// @param before  null: none
  [[nodiscard]] static std::shared_ptr<const limit_book>
  build(const policy::program& program, const limit_book* before, limiting::clock::time_point now);

  /// Keys, as in mp_flow.
  using keys = std::array<std::uint32_t, 2>;
  struct toll {
    keys limits{};
    mp_address source{}; ///< of who opened the connection
    std::uint32_t bytes = 0;
    bool opens = false; ///< the packet opens a connection
  };
  /// Takes what a packet needs of both limits, or of none; then the limit is counted that stands in
  /// the way. hot path
  [[nodiscard]] bool lets_pass(const toll& t, limiting::clock::time_point now) const noexcept;
  /// A connection counts as open, or no more. Limits that are gone count nothing.
  void open(const keys& limits, const mp_address& source) const noexcept { add(limits, source, 1); }
  void close(const keys& limits, const mp_address& source) const noexcept {
    add(limits, source, -1);
  }

  [[nodiscard]] std::vector<tier_ebpf::limited_count> read() const;

private:
  struct metered {
    mp_limits limits{};
    std::shared_ptr<limiting::meter> meter;
    std::array<std::atomic<std::uint64_t>, MP_LIMIT_COUNT> refused{};
  };
  void add(const keys& limits, const mp_address& source, int more) const noexcept;

  std::unordered_map<std::uint32_t, std::shared_ptr<metered>> by_key_;
};

} // namespace marchproxy::packet_worker

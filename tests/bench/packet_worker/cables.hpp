// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/program.hpp"
#include "bpf/loader/descriptor.hpp"
#include "dpdk/forwarding/table.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace marchproxy::bench {

/// Two virtual cables in a network namespace of the calling thread's own: frames are sent into the
/// one, and what is forwarded to the other ends there. Root only; ends the process when something
/// cannot be set up.
class cables {
public:
  static constexpr const char* near_end = "mpb1";
  static constexpr const char* far_end = "mpb2";
  static constexpr std::size_t burst = 64;

  /// Takes the calling thread into a new namespace, for good.
  explicit cables(std::span<const policy::flow> flows);

  /// Sends the next burst of first frames. @return how many
  [[nodiscard]] std::size_t send();
  /// A forwarding table that sends everything by port 1, which is the far end, port 0 being the
  /// near one.
  [[nodiscard]] std::shared_ptr<const forwarding::table> all_to_far_end() const;

private:
  tier_ebpf::descriptor raw_;
  std::vector<std::vector<std::byte>> frames_;
  std::size_t next_ = 0;
};

} // namespace marchproxy::bench

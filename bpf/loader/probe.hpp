// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string>
#include <vector>

namespace marchproxy::tier_ebpf {

/// What this kernel and this process offer to the tier, and why not when they do not (ACC-1).
struct probe_report {
  struct check {
    std::string name; ///< `kernel`, `capabilities`, `maps`, `bpf_loop`, `tc`
    bool ok = false;
    std::string detail; ///< one sentence
  };
  std::vector<check> checks;

  [[nodiscard]] bool usable() const noexcept;
  /// The details of the checks that failed, or `usable`.
  [[nodiscard]] std::string reason() const;
};

/// Asks the kernel; changes nothing. BTF of the kernel is not needed. Only tier::load() and
/// attach() are proof.
[[nodiscard]] probe_report probe();

} // namespace marchproxy::tier_ebpf

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/strong_id.hpp"
#include "actors/policy/program.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace marchproxy::proxy {

/// What judges traffic on a node: the eBPF fast path, the relay. One policy, one verdict, whichever
/// gives it (ACC-1). prepare, commit and abort are called from one thread, in that order; the rest
/// from any.
class tier {
public:
  tier() = default;
  tier(const tier&) = delete;
  tier& operator=(const tier&) = delete;
  virtual ~tier() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  /// Fills the idle side. Nothing that judges traffic changes. A second prepare replaces the first.
  /// @errors why this tier cannot take the program; the revision is then refused everywhere
  [[nodiscard]] virtual result<void>
  prepare(const std::shared_ptr<const policy::program>& program) = 0;
  /// Switches to what was prepared, all at once.
  [[nodiscard]] virtual result<void> commit() = 0;
  /// Forgets what was prepared.
  virtual void abort() noexcept = 0;
  /// Counters since the start, by stable name.
  [[nodiscard]] virtual std::map<std::string, std::uint64_t> counters() const = 0;
};

/// Which tiers serve and why the others do not (ACC-1).
struct tier_choice {
  struct declined {
    std::string name;
    std::string reason;
  };
  std::string chosen;
  std::vector<declined> not_chosen;
};

} // namespace marchproxy::proxy

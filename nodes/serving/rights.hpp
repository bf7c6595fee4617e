// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/netd/companion.hpp"
#include "nodes/privileges/capabilities.hpp"
#include "nodes/privileges/syscall_filter.hpp"
#include "nodes/serving/metrics.hpp"

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <string>

namespace marchproxy::serving {

/// What a proxy may do, and the netd that does for it what it may not (SEC-4, docs/privileges.md).
class rights {
public:
  /// Starts netd for what this process may do of @p wanted, and from then on has it open sockets
  /// that the kernel forbids to this process. Without it the proxy runs all the same: says why in
  /// the log, and why_no_packets(). Before other threads start.
  [[nodiscard]] static rights with_netd(const netd::tasks& wanted);
  rights(rights&&) noexcept = default;
  rights& operator=(rights&&) = delete;
  rights(const rights&) = delete;
  rights& operator=(const rights&) = delete;
  /// Lets netd end.
  ~rights();

  /// Gives up all capabilities but @p keep, and the system calls that @p filter has not.
  /// @errors as privileges::keep_only and privileges::install
  [[nodiscard]] result<void> give_up(privileges::capability_set keep,
                                     const privileges::syscall_filter& filter);

  /// Null: there is none, or it does nothing for the packet programs.
  [[nodiscard]] std::shared_ptr<netd::remote> packets() const {
    return netd_ ? netd_->packets() : nullptr;
  }
  [[nodiscard]] const std::string& why_no_packets() const noexcept { return why_no_packets_; }
  [[nodiscard]] bool netd_alive() const { return netd_ && netd_->alive(); }

  /// Adds `privileges`. Any thread.
  void add_health(nlohmann::json& answer) const;
  void add_metrics(metric_list& out) const;

private:
  rights() = default;

  std::unique_ptr<netd::companion> netd_;
  std::string why_none_; ///< there is no netd
  std::string why_no_packets_;
  bool listed_calls_only_ = false;
};

} // namespace marchproxy::serving

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/identity/data_auth.hpp"
#include "actors/policy/program.hpp"
#include "nodes/limiting/limit_table.hpp"
#include "nodes/relay/named_ports.hpp"
#include "nodes/routing/route_table.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace marchproxy::relay {

/// One revision, whole: what every verdict of a loop turn comes from.
struct policy_snapshot {
  policy_snapshot(std::shared_ptr<const policy::program> p,
                  std::shared_ptr<const identity::authenticator> a,
                  std::shared_ptr<const routing::route_table> r = nullptr,
                  std::shared_ptr<const limiting::limit_table> l = nullptr)
    : program(std::move(p)),
      auth(std::move(a)),
      routes(std::move(r)),
      limits(std::move(l)),
      names(program ? named_ports{program->rules()} : named_ports{}) {}

  std::shared_ptr<const policy::program> program;
  std::shared_ptr<const identity::authenticator>
    auth; ///< of the same ruleset; null: nothing can be proven
  std::shared_ptr<const routing::route_table> routes;  ///< of an ingress proxy; null elsewhere
  std::shared_ptr<const limiting::limit_table> limits; ///< null: nothing is limited
  named_ports names;
};

/// Where the snapshot in force is published. One writer at a time; any number of readers, each of
/// which asks once a turn and pays one atomic load unless the snapshot has changed.
class snapshot_holder {
public:
  void publish(std::shared_ptr<const policy_snapshot> next) {
    std::lock_guard lock{mutex_};
    current_ = std::move(next);
    version_.fetch_add(1, std::memory_order_release);
  }

  /// Brings a reader up to date. @return true when @p mine changed
  [[nodiscard]] bool refresh(std::uint64_t& version,
                             std::shared_ptr<const policy_snapshot>& mine) const {
    if (version_.load(std::memory_order_acquire) == version)
      return false;
    std::lock_guard lock{mutex_};
    mine = current_;
    version = version_.load(std::memory_order_relaxed);
    return true;
  }

  [[nodiscard]] std::uint64_t version() const noexcept {
    return version_.load(std::memory_order_acquire);
  }

private:
  mutable std::mutex mutex_;
  std::atomic<std::uint64_t> version_{0};
  std::shared_ptr<const policy_snapshot> current_;
};

} // namespace marchproxy::relay

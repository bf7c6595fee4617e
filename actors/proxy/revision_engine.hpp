// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/policy/program.hpp"
#include "actors/proxy/revision_file.hpp"
#include "actors/proxy/tier.hpp"
#include "actors/proxy/verification.hpp"

#include <memory>
#include <mutex>
#include <vector>

namespace marchproxy::proxy {

/// Takes a revision from announced bytes to traffic: verify, compile, prepare every tier, store;
/// then commit every tier and make it the last good one. Blocking; called from one thread.
/// current() may be called from any.
class revision_engine {
public:
  /// @param tiers  in the order of their commit: those that can fail first
  revision_engine(revision_file file, std::vector<tier*> tiers);

  /// @errors as verify(), or a tier's error with the tier's name
  [[nodiscard]] result<void> stage(const policy_authority& authority,
                                   const stored_revision& revision);
  /// @errors a tier's; then every tier is back at the revision before
  [[nodiscard]] result<void> flip(marchproxy::revision revision);
  void drop(marchproxy::revision revision);

  /// At start: the last good revision, verified like any other, in force. @return 0 when there is
  /// none
  [[nodiscard]] result<marchproxy::revision> restore(const policy_authority& authority);

  /// The program in force; null before the first.
  [[nodiscard]] std::shared_ptr<const policy::program> current() const;

  [[nodiscard]] const revision_file& file() const noexcept { return file_; }

private:
  [[nodiscard]] result<void> prepare(const std::shared_ptr<const policy::program>& program);
  [[nodiscard]] result<void> commit(const std::shared_ptr<const policy::program>& program);

  revision_file file_;
  std::vector<tier*> tiers_;
  std::shared_ptr<const policy::program> staged_;
  mutable std::mutex lock_; ///< of current_ only
  std::shared_ptr<const policy::program> current_;
};

} // namespace marchproxy::proxy

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/program.hpp"

#include <functional>
#include <map>
#include <memory>

namespace marchproxy::dns {

/// Who may ask: whoever has the address of an active service of the policy in force. One thread's.
class known_clients {
public:
  using policy_in_force = std::function<std::shared_ptr<const policy::program>()>;

  /// @param current  null while there is none: nobody is known then
  explicit known_clients(policy_in_force current) : current_(std::move(current)) {}

  [[nodiscard]] bool knows(const ip_address& client);

private:
  policy_in_force current_;
  std::shared_ptr<const policy::program> of_;
  std::map<ip_address, bool> seen_; ///< by of_, which looks through all services each time
};

} // namespace marchproxy::dns

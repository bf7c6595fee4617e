// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/crypto/ed25519.hpp"
#include "actors/policy/program.hpp"
#include "actors/rollout/applier.hpp"

#include <memory>
#include <string>
#include <vector>

namespace marchproxy::manager {

/// A revision ready to travel: announced, signed, cut into chunks.
struct publication {
  std::string cluster;
  rollout::announcement what;
  std::vector<std::string> chunks; ///< of contracts::chunk_bytes, the last one shorter
  std::shared_ptr<const policy::program> program;
};

/// Decodes and compiles the canonical @p bytes of a ruleset and signs the outcome.
/// @errors those of decode_ruleset and compile: then the revision cannot be rolled out, with the
/// reason
[[nodiscard]] result<std::shared_ptr<const publication>>
make_publication(const std::string& bytes, const crypto::ed25519_key& policy_key);

} // namespace marchproxy::manager

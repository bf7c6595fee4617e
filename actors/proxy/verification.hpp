// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/crypto/ed25519.hpp"
#include "actors/policy/program.hpp"
#include "actors/proxy/revision_file.hpp"

#include <memory>
#include <string>

namespace marchproxy::proxy {

/// Whose revisions a proxy takes: its cluster, and the key the cluster's revisions are signed with.
struct policy_authority {
  std::string cluster;
  crypto::ed25519_public_key public_key{};
};

/// From foreign bytes to a program that may judge: the signature holds for what was announced, the
/// bytes are those announced and a ruleset of that cluster and revision, and it compiles to the
/// program that the manager announced. Pure; fuzzed.
/// @errors corrupt (signature, checksum, format), refused (another cluster, revision or program),
///         or the compiler's
[[nodiscard]] result<std::shared_ptr<const policy::program>>
verify(const policy_authority& authority, const stored_revision& revision);

} // namespace marchproxy::proxy

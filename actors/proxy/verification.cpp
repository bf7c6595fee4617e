// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/proxy/verification.hpp"

#include "actors/crypto/digest.hpp"

namespace marchproxy::proxy {

result<std::shared_ptr<const policy::program>> verify(const policy_authority& authority,
                                                      const stored_revision& revision) {
  const auto& what = revision.what;
  auto signature = crypto::from_hex(what.signature);
  if (!signature
      || !crypto::ed25519_verify(authority.public_key,
                                 rollout::signed_text(authority.cluster, what), *signature))
    return fail(errc::corrupt, "revision " + std::to_string(what.revision.value)
                                 + ": the signature does not verify");
  if (revision.bytes.size() != what.size || crypto::sha256_hex(revision.bytes) != what.sha256)
    return fail(errc::corrupt, "revision " + std::to_string(what.revision.value)
                                 + ": the bytes are not those announced");
  auto rules = model::decode_ruleset(revision.bytes);
  if (!rules)
    return tl::unexpected(rules.error());
  if (rules->cluster_name != authority.cluster || rules->revision != what.revision)
    return fail(errc::refused, "the ruleset is of cluster '" + rules->cluster_name + "' revision "
                                 + std::to_string(rules->revision.value) + ", announced was '"
                                 + authority.cluster + "' revision "
                                 + std::to_string(what.revision.value));
  auto compiled =
    policy::program::compile(std::make_shared<const model::ruleset>(std::move(*rules)));
  if (compiled && (*compiled)->hash_hex() != what.program_hash)
    return fail(errc::refused, "this node compiles revision " + std::to_string(what.revision.value)
                                 + " to another program than the manager; are the versions equal?");
  return compiled;
}

} // namespace marchproxy::proxy

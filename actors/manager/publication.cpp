// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/manager/publication.hpp"

#include "actors/contracts/events.hpp"
#include "actors/crypto/digest.hpp"

namespace marchproxy::manager {

result<std::shared_ptr<const publication>> make_publication(const std::string& bytes,
                                                            const crypto::ed25519_key& policy_key) {
  auto rules = model::decode_ruleset(bytes);
  if (!rules)
    return tl::unexpected(rules.error());
  auto shared = std::make_shared<const model::ruleset>(std::move(*rules));
  auto program = policy::program::compile(shared);
  if (!program)
    return tl::unexpected(program.error());
  auto out = std::make_shared<publication>();
  out->cluster = shared->cluster_name;
  out->program = *program;
  for (std::size_t at = 0; at < bytes.size(); at += contracts::chunk_bytes)
    out->chunks.push_back(bytes.substr(at, contracts::chunk_bytes));
  out->what.revision = shared->revision;
  out->what.sha256 = crypto::sha256_hex(bytes);
  out->what.program_hash = (*program)->hash_hex();
  out->what.size = bytes.size();
  out->what.chunks = static_cast<std::uint32_t>(out->chunks.size());
  out->what.signature =
    crypto::to_hex(crypto::view(policy_key.sign(rollout::signed_text(out->cluster, out->what))));
  return out;
}

} // namespace marchproxy::manager

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/time.hpp"
#include "actors/bus/nkey.hpp"
#include "actors/crypto/secret.hpp"

#include <string>
#include <string_view>

namespace marchproxy::bus {

/// What CLUSTER_API_KEY says: `mpk1.<cluster name>.<account's public nkey>.<base64url of 32 random
/// bytes>`. The account is no secret; the proxy names it in its join JWT. The bytes never leave the
/// proxy: they are the seed of the signing key whose public half the account knows.
struct cluster_api_key {
  std::string cluster_name;
  std::string account; ///< public nkey
  crypto::secret bytes;
};

/// @errors invalid_argument, saying which part of the key is wrong and never quoting it
[[nodiscard]] result<cluster_api_key> parse_cluster_api_key(const crypto::secret& text);
[[nodiscard]] cluster_api_key generate_cluster_api_key(std::string cluster_name,
                                                       std::string account);
[[nodiscard]] crypto::secret to_text(const cluster_api_key& key);

/// The signing key of role `join` that both sides derive: HKDF-SHA256 of the bytes, the cluster's
/// name as salt.
[[nodiscard]] nkey join_signing_key(const cluster_api_key& key);

/// Its public half, which is all the manager keeps.
[[nodiscard]] std::string join_public_key(const cluster_api_key& key);

/// The JWT with which @p user may ask for enrolment during the minute after @p now.
[[nodiscard]] std::string
mint_join_jwt(const cluster_api_key& key, std::string_view user, time_point now);

} // namespace marchproxy::bus

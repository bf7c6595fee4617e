// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/cluster_key.hpp"

#include "actors/bus/jwt.hpp"
#include "actors/crypto/encoding.hpp"
#include "actors/crypto/random.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <chrono>
#include <utility>

namespace marchproxy::bus {
namespace {

constexpr std::string_view version_prefix = "mpk1";
constexpr std::string_view derivation = "marchproxy/join/v1";
constexpr std::size_t secret_size = 32;
constexpr auto join_lifetime = std::chrono::seconds{60};

bool is_cluster_name(std::string_view name) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyz0123456789-";
  return !name.empty() && name.size() <= 63
         && name.find_first_not_of(allowed) == std::string_view::npos && name.front() != '-'
         && name.back() != '-';
}

} // namespace

result<cluster_api_key> parse_cluster_api_key(const crypto::secret& text) {
  auto rest = text.expose();
  std::array<std::string_view, 4> parts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto dot = i + 1 < parts.size() ? rest.find('.') : rest.size();
    if (dot == std::string_view::npos)
      return fail(errc::invalid_argument,
                  "the cluster API key has four parts, mpk1.<cluster>.<account>.<secret>");
    parts[i] = rest.substr(0, dot);
    rest.remove_prefix(dot < rest.size() ? dot + 1 : dot);
  }
  if (parts[0] != version_prefix)
    return fail(errc::invalid_argument, "the cluster API key does not begin with mpk1");
  if (!is_cluster_name(parts[1]))
    return fail(errc::invalid_argument, "the cluster API key names no valid cluster");
  if (!parse_public_nkey(nkey_kind::account, parts[2]))
    return fail(errc::invalid_argument,
                "the account in the cluster API key is mistyped (its checksum fails)");
  auto bytes = crypto::from_base64url(parts[3]);
  if (!bytes || bytes->size() != secret_size)
    return fail(errc::invalid_argument,
                "the secret in the cluster API key is not base64url of 32 bytes");
  return cluster_api_key{std::string{parts[1]}, std::string{parts[2]},
                         crypto::secret::take(*bytes)};
}

cluster_api_key generate_cluster_api_key(std::string cluster_name, std::string account) {
  auto bytes = crypto::random_bytes(secret_size);
  return {std::move(cluster_name), std::move(account), crypto::secret::take(bytes)};
}

crypto::secret to_text(const cluster_api_key& key) {
  auto text = std::string{version_prefix} + "." + key.cluster_name + "." + key.account + "."
              + crypto::to_base64url(key.bytes.expose());
  return crypto::secret::take(text);
}

nkey join_signing_key(const cluster_api_key& key) {
  return nkey::derive(nkey_kind::account, key.bytes, key.cluster_name, derivation);
}

std::string join_public_key(const cluster_api_key& key) {
  return join_signing_key(key).public_key();
}

std::string mint_join_jwt(const cluster_api_key& key, std::string_view user, time_point now) {
  return mint_jwt(join_signing_key(key), {std::string{user}, "join", now, now + join_lifetime},
                  {{"type", "user"}, {"issuer_account", key.account}});
}

} // namespace marchproxy::bus

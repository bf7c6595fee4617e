// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/identity/data_auth.hpp"

#include "actors/crypto/signature.hpp"
#include "actors/identity/jwt.hpp"
#include "actors/identity/tokens.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

namespace marchproxy::identity {

namespace {

using outcome = tl::expected<authenticated, auth_failure>;

constexpr double leeway = 30; // seconds that clocks may differ
// A signature costs 50-150 us: an unsigned guess must not cost hundreds of them.
constexpr std::size_t most_keys_tried = 8;

struct known_credential {
  service_id service;
  std::string service_name;
  std::string id;
  std::optional<std::int64_t> expires_at;
  std::optional<crypto::verification_key> key; ///< for JWT
};

double seconds(time_point at) noexcept {
  return std::chrono::duration<double>(at.time_since_epoch()).count();
}

bool has_expired(const known_credential& one, time_point now) noexcept {
  return one.expires_at && seconds(now) >= static_cast<double>(*one.expires_at);
}

auth_failure failure_of(jwt_fault fault) noexcept {
  switch (fault) {
  case jwt_fault::none:
  case jwt_fault::malformed:
  case jwt_fault::critical:
    return auth_failure::malformed;
  case jwt_fault::too_large:
    return auth_failure::too_large;
  case jwt_fault::no_expiry:
    return auth_failure::no_expiry;
  }
  return auth_failure::malformed;
}

result<crypto::verification_key> key_of(const model::credential& one) {
  const auto algorithm = crypto::parse_signature_algorithm(one.algorithm);
  if (!algorithm)
    return fail_field("algorithm", "must be one of HS256, RS256, ES256, EdDSA");
  auto key = crypto::verification_key::parse(*algorithm, one.verifier);
  if (!key)
    return fail_field("verifier", key.error().message);
  return key;
}

} // namespace

struct authenticator::state {
  using candidates = std::optional<std::span<const service_id>>;

  std::vector<known_credential> jwt_keys;
  std::unordered_multimap<std::string, known_credential> by_token_hash;
  std::unordered_multimap<std::string, std::size_t> by_key_id;  ///< into jwt_keys
  std::unordered_multimap<std::string, std::size_t> by_service; ///< by name, into jwt_keys
  std::vector<std::string> unusable;

  [[nodiscard]] static bool
  may_be(const known_credential& one, const candidates& of, const presented& shown) {
    return (shown.service.empty() || shown.service == one.service_name)
           && (!of || std::find(of->begin(), of->end(), one.service) != of->end());
  }

  void add(const model::credential& one, const model::service& owner) {
    known_credential known{owner.id, owner.name, one.id, one.expires_at, std::nullopt};
    if (one.kind == model::auth_type::base64) {
      by_token_hash.emplace(one.verifier, std::move(known));
      return;
    }
    auto key = key_of(one);
    if (!key) {
      unusable.push_back(owner.name + "/" + one.id + ": " + key.error().message);
      return;
    }
    known.key = std::move(*key);
    by_key_id.emplace(one.id, jwt_keys.size());
    by_service.emplace(owner.name, jwt_keys.size());
    jwt_keys.push_back(std::move(known));
  }

  /// Nothing if no service has that token.
  [[nodiscard]] std::optional<outcome>
  check_token(const candidates& of, const presented& shown, time_point now) const {
    const auto [first, last] = by_token_hash.equal_range(token_hash(shown.secret));
    if (first == last)
      return std::nullopt;
    auto why = auth_failure::other_service;
    for (auto it = first; it != last; ++it) {
      if (!may_be(it->second, of, shown))
        continue;
      if (!has_expired(it->second, now))
        return authenticated{it->second.service, it->second.id};
      why = auth_failure::expired;
    }
    return tl::unexpected(why);
  }

  /// The keys that could have signed: by `kid`, else by the service named in Basic or `sub`, else
  /// all of the candidates'.
  [[nodiscard]] tl::expected<std::vector<const known_credential*>, auth_failure>
  keys_for(const jwt& token, const candidates& of, const presented& shown) const {
    std::vector<const known_credential*> out;
    const auto consider = [&](std::size_t index) {
      if (may_be(jwt_keys[index], of, shown))
        out.push_back(&jwt_keys[index]);
    };
    const auto consider_all = [&](const auto& index, const std::string& name) {
      const auto [first, last] = index.equal_range(name);
      for (auto it = first; it != last; ++it)
        consider(it->second);
      return first != last;
    };
    if (token.key_id) {
      if (!consider_all(by_key_id, *token.key_id) || out.empty())
        return tl::unexpected(auth_failure::wrong_key);
      // The same kid may be in use by many services: the subject then says which is meant.
      if (out.size() > most_keys_tried && token.subject)
        out.erase(std::remove_if(out.begin(), out.end(),
                                 [&](const auto* k) { return k->service_name != *token.subject; }),
                  out.end());
    } else if (!shown.service.empty()) {
      consider_all(by_service, shown.service);
    } else if (token.subject) {
      consider_all(by_service, *token.subject);
    } else {
      for (std::size_t i = 0; i < jwt_keys.size() && out.size() <= most_keys_tried; ++i)
        consider(i);
    }
    if (out.empty())
      return tl::unexpected(auth_failure::other_service);
    if (out.size() > most_keys_tried)
      return tl::unexpected(auth_failure::ambiguous);
    return out;
  }

  [[nodiscard]] outcome
  check_jwt(const candidates& of, const presented& shown, time_point now) const {
    const auto parsed = parse_jwt(shown.secret);
    if (parsed.fault != jwt_fault::none)
      return tl::unexpected(failure_of(parsed.fault));
    const auto& token = parsed.token;
    const auto keys = keys_for(token, of, shown);
    if (!keys)
      return tl::unexpected(keys.error());
    auto why = auth_failure::wrong_algorithm;
    for (const auto* one : *keys) {
      // RFC 8725 3.1: the credential says which algorithm it is for, the token's header never.
      if (crypto::to_string(one->key->algorithm()) != token.algorithm)
        continue;
      why = auth_failure::bad_signature;
      if (one->key->verify(token.signed_part, token.signature))
        return check_claims(token, *one, now);
    }
    return tl::unexpected(why);
  }

  [[nodiscard]] static outcome
  check_claims(const jwt& token, const known_credential& one, time_point now) {
    const auto at = seconds(now);
    if (has_expired(one, now) || at >= token.expires + leeway)
      return tl::unexpected(auth_failure::expired);
    if (token.not_before && at + leeway < *token.not_before)
      return tl::unexpected(auth_failure::not_yet_valid);
    if (token.subject && *token.subject != one.service_name)
      return tl::unexpected(auth_failure::wrong_subject);
    if (token.has_audience
        && std::find(token.audience.begin(), token.audience.end(), "marchproxy")
             == token.audience.end())
      return tl::unexpected(auth_failure::wrong_audience);
    return authenticated{one.service, one.id};
  }
};

std::string_view to_string(auth_failure why) noexcept {
  constexpr std::array<std::string_view, 14> names{
    "no_credential", "unknown_token", "other_service", "expired",         "not_yet_valid",
    "no_expiry",     "malformed",     "too_large",     "wrong_algorithm", "wrong_key",
    "ambiguous",     "bad_signature", "wrong_subject", "wrong_audience"};
  return names[static_cast<std::size_t>(why)];
}

authenticator::authenticator(const model::ruleset& rules) {
  auto made = std::make_unique<state>();
  for (const auto& one : rules.credentials) {
    const auto owner = model::members(rules, one.service);
    // Both kinds at once are mutually exclusive (IDN-3): what is left of the other kind is dead.
    if (!owner.empty() && owner.front()->auth == one.kind)
      made->add(one, *owner.front());
  }
  state_ = std::move(made);
}

authenticator::~authenticator() = default;
authenticator::authenticator(authenticator&&) noexcept = default;
authenticator& authenticator::operator=(authenticator&&) noexcept = default;

outcome authenticator::check(std::optional<std::span<const service_id>> candidates,
                             const presented* shown,
                             time_point now) const {
  if (shown == nullptr || shown->secret.empty())
    return tl::unexpected(auth_failure::no_credential);
  if (auto by_token = state_->check_token(candidates, *shown, now))
    return *by_token;
  if (!looks_like_jwt(shown->secret))
    return tl::unexpected(auth_failure::unknown_token);
  return state_->check_jwt(candidates, *shown, now);
}

const std::vector<std::string>& authenticator::unusable() const noexcept {
  return state_->unusable;
}

result<void> check_credential_key(const model::credential& one) {
  if (one.kind == model::auth_type::base64)
    return {};
  auto key = key_of(one);
  if (!key)
    return tl::unexpected(std::move(key.error()));
  return {};
}

} // namespace marchproxy::identity

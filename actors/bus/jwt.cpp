// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/jwt.hpp"

#include "actors/bus/json_fields.hpp"
#include "actors/crypto/digest.hpp"

#include <chrono>
#include <utility>

namespace marchproxy::bus {
namespace {

using nlohmann::json;

constexpr auto header = R"({"typ":"JWT","alg":"ed25519-nkey"})";

std::int64_t seconds(time_point at) {
  return std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
}

/// A time_point in microseconds holds the years until 5138 safely; a hostile number beyond them is
/// none.
std::optional<time_point> time_at(const json& object, const char* name) {
  const auto value = count_at(object, name);
  if (!value || *value > 100'000'000'000)
    return std::nullopt;
  return time_point{std::chrono::seconds{*value}};
}

} // namespace

std::string mint_jwt(const nkey& issuer, const jwt_subject& subject, json nats) {
  nats["version"] = 2;
  json claims{{"iat", seconds(subject.issued)},
              {"iss", issuer.public_key()},
              {"name", subject.name},
              {"sub", subject.key},
              {"nats", std::move(nats)}};
  if (subject.expires)
    claims["exp"] = seconds(*subject.expires);
  // Names come from users; a byte that is not UTF-8 must not throw here.
  const auto dump = [&] { return claims.dump(-1, ' ', false, json::error_handler_t::replace); };
  claims["jti"] = crypto::to_base32(crypto::view(crypto::sha256(dump())));
  const auto signed_part = crypto::to_base64url(header) + "." + crypto::to_base64url(dump());
  return signed_part + "." + crypto::to_base64url(issuer.sign(signed_part));
}

result<jwt_facts> read_jwt(std::string_view text) {
  const auto dot = text.find('.');
  const auto last = text.rfind('.');
  if (dot == std::string_view::npos || dot == last)
    return fail(errc::corrupt, "not a JWT");
  const auto head = crypto::from_base64url(text.substr(0, dot));
  const auto body = crypto::from_base64url(text.substr(dot + 1, last - dot - 1));
  const auto signature = crypto::from_base64url(text.substr(last + 1));
  const auto head_json = json::parse(head.value_or(""), nullptr, false);
  const auto claims = json::parse(body.value_or(""), nullptr, false);
  if (!signature || !head_json.is_object() || text_at(head_json, "alg") != "ed25519-nkey"
      || !claims.is_object())
    return fail(errc::corrupt, "not a JWT");
  jwt_facts facts;
  facts.issuer = text_at(claims, "iss");
  auto key = parse_public_nkey(nkey_kind::account, facts.issuer);
  if (!key)
    key = parse_public_nkey(nkey_kind::deployment, facts.issuer);
  if (!key || !crypto::ed25519_verify(*key, text.substr(0, last), *signature))
    return fail(errc::corrupt, "the signature of the JWT is wrong");
  const auto issued = time_at(claims, "iat");
  const auto expires = time_at(claims, "exp");
  if (!issued || (claims.contains("exp") && !expires))
    return fail(errc::corrupt, "a time in the JWT is not a number of seconds");
  facts.subject = {text_at(claims, "sub"), text_at(claims, "name"), *issued};
  facts.subject.expires = expires;
  if (const auto nats = claims.find("nats"); nats != claims.end() && nats->is_object())
    facts.account = text_at(*nats, "issuer_account");
  return facts;
}

} // namespace marchproxy::bus

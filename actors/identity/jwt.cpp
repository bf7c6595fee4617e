// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/identity/jwt.hpp"

#include "actors/crypto/encoding.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace marchproxy::identity {

namespace {

using nlohmann::json;

/// A base64url part that is a JSON object without doubled keys (RFC 7519 4: "must be unique").
std::optional<json> object_in(std::string_view part) {
  const auto bytes = crypto::from_base64url(part);
  if (!bytes)
    return std::nullopt;
  std::vector<std::vector<std::string>> keys;
  bool twice = false;
  const auto watch = [&](int, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == json::parse_event_t::key) {
      auto name = value.get<std::string>();
      auto& seen = keys.back();
      twice = twice || std::find(seen.begin(), seen.end(), name) != seen.end();
      seen.push_back(std::move(name));
    }
    return true;
  };
  auto out = json::parse(*bytes, watch, false);
  if (!out.is_object() || twice)
    return std::nullopt;
  return out;
}

/// An optional text. @return false if there is something else
bool read_text(const json& object, const char* key, std::optional<std::string>& into) {
  const auto found = object.find(key);
  if (found == object.end())
    return true;
  if (!found->is_string())
    return false;
  into = found->get<std::string>();
  return true;
}

/// An optional NumericDate (RFC 7519 2). @return false if there is something else
bool read_date(const json& object, const char* key, std::optional<double>& into) {
  const auto found = object.find(key);
  if (found == object.end())
    return true;
  if (!found->is_number())
    return false;
  into = found->get<double>();
  return std::isfinite(*into);
}

/// A text or an array of texts (RFC 7519 4.1.3).
bool read_audience(const json& claims, jwt& into) {
  const auto found = claims.find("aud");
  into.has_audience = found != claims.end();
  if (!into.has_audience)
    return true;
  const auto list = found->is_array() ? *found : json::array({*found});
  for (const auto& one : list) {
    if (!one.is_string())
      return false;
    into.audience.push_back(one.get<std::string>());
  }
  return true;
}

jwt_fault read_header(const json& header, jwt& into) {
  if (header.contains("crit"))
    return jwt_fault::critical;
  std::optional<std::string> algorithm;
  if (!read_text(header, "alg", algorithm) || !algorithm || !read_text(header, "kid", into.key_id))
    return jwt_fault::malformed;
  into.algorithm = *algorithm;
  return jwt_fault::none;
}

jwt_fault read_claims(const json& claims, jwt& into) {
  std::optional<double> expires;
  if (!read_text(claims, "sub", into.subject) || !read_date(claims, "exp", expires)
      || !read_date(claims, "nbf", into.not_before) || !read_audience(claims, into))
    return jwt_fault::malformed;
  if (!expires)
    return jwt_fault::no_expiry;
  into.expires = *expires;
  return jwt_fault::none;
}

} // namespace

bool looks_like_jwt(std::string_view text) noexcept {
  return std::count(text.begin(), text.end(), '.') == 2;
}

parsed_jwt parse_jwt(std::string_view text) {
  parsed_jwt out;
  const auto refuse = [&](jwt_fault fault) {
    out.fault = fault;
    return out;
  };
  if (text.size() > most_token_bytes)
    return refuse(jwt_fault::too_large);
  if (!looks_like_jwt(text))
    return refuse(jwt_fault::malformed);
  const auto first = text.find('.');
  const auto second = text.rfind('.');
  out.token.signed_part = text.substr(0, second);
  auto signature = crypto::from_base64url(text.substr(second + 1));
  const auto header = object_in(text.substr(0, first));
  const auto claims = object_in(text.substr(first + 1, second - first - 1));
  if (!signature || !header || !claims)
    return refuse(jwt_fault::malformed);
  out.token.signature = std::move(*signature);
  out.fault = read_header(*header, out.token);
  if (out.fault == jwt_fault::none)
    out.fault = read_claims(*claims, out.token);
  return out;
}

} // namespace marchproxy::identity

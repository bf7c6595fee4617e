// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/audit/redact.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace marchproxy::audit {

namespace {

using nlohmann::json;

constexpr std::string_view redacted = "[redacted]";

constexpr std::array<std::string_view, 17> secret_parts{
  "password", "passwd",   "passphrase", "pwd",    "secret",       "token",
  "key",      "verifier", "credential", "cookie", "csrf",         "otp",
  "seed",     "recovery", "jwt",        "hash",   "authorization"};

/// Names with one of those parts that say which key, or hold its public half.
constexpr std::array<std::string_view, 9> public_names{"publickey",   "keyid",       "nkey",
                                                       "apikeyid",    "tokentype",   "credentialid",
                                                       "rulesethash", "programhash", "appliedhash"};

/// Lower case, letters and digits only: `X-API-Key`, `apiKey` and `api_key` are one name.
std::string plain(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z')
      out += static_cast<char>(c - 'A' + 'a');
    else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
      out += c;
  }
  return out;
}

bool is_secret_text(const std::string& text) {
  constexpr std::string_view api_key = "mpa_";
  return text.find("PRIVATE KEY-----") != std::string::npos
         || (text.size() > 40 && text.compare(0, api_key.size(), api_key) == 0);
}

} // namespace

bool names_a_secret(std::string_view field) {
  const auto name = plain(field);
  if (std::find(public_names.begin(), public_names.end(), name) != public_names.end())
    return false;
  return std::any_of(secret_parts.begin(), secret_parts.end(),
                     [&](std::string_view part) { return name.find(part) != std::string::npos; });
}

json redact(const json& value) {
  if (value.is_object()) {
    auto out = json::object();
    for (const auto& item : value.items()) {
      const auto& inner = item.value();
      const bool harmless = inner.is_null() || inner.is_boolean();
      out[item.key()] = !harmless && names_a_secret(item.key()) ? json(redacted) : redact(inner);
    }
    return out;
  }
  if (value.is_array()) {
    auto out = json::array();
    for (const auto& inner : value)
      out.push_back(redact(inner));
    return out;
  }
  const auto* text = value.get_ptr<const std::string*>();
  return text != nullptr && is_secret_text(*text) ? json(redacted) : value;
}

std::string redacted_text(const json& value) {
  if (value.is_null())
    return {};
  return redact(value).dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace marchproxy::audit

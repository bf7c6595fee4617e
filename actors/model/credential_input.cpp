// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/time.hpp"
#include "actors/model/input_parts.hpp"
#include "actors/model/text_rules.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace marchproxy::model {

namespace {

constexpr std::size_t most_verifier = std::size_t{8} * 1024;

bool is_algorithm(std::string_view text) noexcept {
  return text == "HS256" || text == "RS256" || text == "ES256" || text == "EdDSA";
}

/// The form only; whether a key is a good key is for the room that can parse keys (identity).
std::optional<std::string_view> verifier_fault(const credential& of) {
  const auto& text = of.verifier;
  const auto all = [&text](auto accepts) { return std::all_of(text.begin(), text.end(), accepts); };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (of.kind == auth_type::base64) {
    if (text.size() != 64 || !all([&](char c) { return digit(c) || (c >= 'a' && c <= 'f'); }))
      return "must be the SHA-256 of the token in 64 lower-case hexadecimal digits";
  } else if (of.algorithm == "HS256") {
    const auto url = [&](char c) {
      return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
    };
    if (text.size() < 43 || !all(url)) // 32 bytes make 43 characters
      return "must be base64url of at least 32 random bytes";
  } else {
    constexpr std::string_view head = "-----BEGIN PUBLIC KEY-----\n";
    if (text.compare(0, head.size(), head) != 0
        || !all([](char c) { return c == '\n' || c == '\r' || (c >= 0x20 && c < 0x7f); }))
      return "must be a public key in PEM (-----BEGIN PUBLIC KEY-----)";
  }
  return std::nullopt;
}

void read_verifier(field_reader& in, credential& out) {
  const auto given = in.take({"verifier"});
  if (!given)
    return in.refuse(given.path, "is required");
  const auto* text = given.value->get_ptr<const std::string*>();
  if (text == nullptr)
    return in.refuse(given.path, "must be a text");
  if (text->size() > most_verifier)
    return in.refuse(given.path, "must be at most 8 KiB long");
  out.verifier = *text;
  if (const auto fault = verifier_fault(out))
    in.refuse(given.path, std::string{*fault});
}

/// Seconds since the epoch, or RFC 3339 in UTC.
void read_expiry(field_reader& in, credential& out) {
  const auto given = in.take({"expires_at"});
  if (!given)
    return;
  constexpr std::int64_t year_9999 = 253'402'300'799;
  if (given.value->is_number_integer()) {
    const auto seconds = given.value->get<std::int64_t>(); // beyond 2^63 turns negative
    if (seconds >= 0 && seconds <= year_9999)
      out.expires_at = seconds;
  } else if (const auto* text = given.value->get_ptr<const std::string*>()) {
    if (const auto at = parse_time(*text))
      out.expires_at = std::chrono::floor<std::chrono::seconds>(*at).time_since_epoch().count();
  }
  if (!out.expires_at)
    in.refuse(given.path, "must be seconds since 1970 or a time such as 2026-11-24T01:02:03Z");
}

} // namespace

result<credential> parse_credential(const nlohmann::json& input, const service& owner) {
  field_reader in{input};
  in.ignore({"service_id", "version", "created_at", "updated_at", "created_by"});
  credential out;
  out.service = owner.id;
  out.id = in.text(
    {"id"},
    {.max_bytes = 64, .accepts = is_credential_id, .form = "must be letters, digits, `_` and `-`"});
  const auto kind = read_word(in, {"kind"}, {"base64", "jwt", "api_key"}, presence::required);
  out.kind = kind == 1 ? auth_type::jwt : auth_type::base64;
  if (kind && out.kind != owner.auth)
    in.refuse(in.path("kind"),
              "must be the service's auth_type, which is " + std::string{to_string(owner.auth)});
  out.algorithm = in.text({"algorithm"}, {.max_bytes = 16,
                                          .required = out.kind == auth_type::jwt,
                                          .accepts = is_algorithm,
                                          .form = "must be one of HS256, RS256, ES256, EdDSA"});
  if (out.kind == auth_type::base64 && !out.algorithm.empty())
    in.refuse(in.path("algorithm"), "is for jwt only");
  read_verifier(in, out);
  read_expiry(in, out);
  if (auto e = in.finish())
    return tl::unexpected(std::move(*e));
  return out;
}

} // namespace marchproxy::model

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/identity/tokens.hpp"

#include "actors/crypto/digest.hpp"
#include "actors/crypto/random.hpp"
#include "actors/model/text_rules.hpp"

#include <algorithm>

namespace marchproxy::identity {

namespace {

constexpr std::string_view api_key_head = "mpa_";
constexpr std::size_t token_bytes = 32;
constexpr std::size_t token_length = 43; // base64url of 32 bytes

minted_token mint(std::string_view head) {
  auto text = std::string{head} + crypto::random_token(token_bytes);
  auto hash = token_hash(text);
  return {crypto::secret::take(text), std::move(hash)};
}

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool contains_name(std::string_view text, std::string_view name) {
  const auto same = [](char a, char b) { return lower(a) == lower(b); };
  return name.size() >= 3
         && std::search(text.begin(), text.end(), name.begin(), name.end(), same) != text.end();
}

} // namespace

minted_token mint_token() {
  return mint("");
}
minted_token mint_api_key() {
  return mint(api_key_head);
}

std::string token_hash(std::string_view token) {
  return crypto::sha256_hex(token);
}

bool looks_like_api_key(std::string_view text) noexcept {
  if (text.size() != api_key_head.size() + token_length
      || text.substr(0, api_key_head.size()) != api_key_head)
    return false;
  text.remove_prefix(api_key_head.size());
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'
           || c == '_';
  });
}

result<void>
check_new_password(const crypto::secret& password, std::string_view user_name, std::string field) {
  const auto text = password.expose();
  const auto characters = std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80; // the first byte of each in UTF-8
  });
  if (text.size() > 256)
    return fail_field(std::move(field), "must be at most 256 bytes long");
  if (const auto fault = model::text_fault(text))
    return fail_field(std::move(field), std::string{*fault});
  if (characters < 12)
    return fail_field(std::move(field), "must have at least 12 characters");
  if (std::all_of(text.begin(), text.end(), [&](char c) { return c == text.front(); }))
    return fail_field(std::move(field), "must not be one character over and over");
  if (contains_name(text, user_name))
    return fail_field(std::move(field), "must not contain the user's name");
  return {};
}

} // namespace marchproxy::identity

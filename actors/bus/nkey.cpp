// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/nkey.hpp"

#include "actors/crypto/digest.hpp"

#include <algorithm>
#include <utility>

namespace marchproxy::bus {
namespace {

constexpr std::uint8_t seed_prefix = 18 << 3;
constexpr std::size_t key_size = 32;
constexpr std::size_t crc_size = 2;

/// CRC-16/XMODEM, as github.com/nats-io/nkeys appends it in little-endian order.
std::uint16_t crc16(std::string_view bytes) noexcept {
  std::uint32_t crc = 0;
  for (const char c : bytes) {
    crc ^= static_cast<std::uint32_t>(static_cast<std::uint8_t>(c)) << 8;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
  }
  return static_cast<std::uint16_t>(crc);
}

std::string encode(std::string bytes) {
  const auto crc = crc16(bytes);
  bytes += static_cast<char>(crc & 0xFF);
  bytes += static_cast<char>(crc >> 8);
  auto text = crypto::to_base32(bytes);
  crypto::wipe(bytes);
  return text;
}

/// The bytes before the checksum; empty if that is wrong.
std::string decode(std::string_view text) {
  auto bytes = crypto::from_base32(text);
  if (!bytes || bytes->size() < crc_size)
    return {};
  const auto body = bytes->size() - crc_size;
  const auto stored = static_cast<unsigned>(static_cast<std::uint8_t>((*bytes)[body]))
                      | static_cast<unsigned>(static_cast<std::uint8_t>((*bytes)[body + 1])) << 8;
  bytes->resize(body);
  return crc16(*bytes) == stored ? std::move(*bytes) : std::string{};
}

bool is_kind(std::uint8_t prefix) noexcept {
  return prefix == static_cast<std::uint8_t>(nkey_kind::account)
         || prefix == static_cast<std::uint8_t>(nkey_kind::deployment)
         || prefix == static_cast<std::uint8_t>(nkey_kind::user);
}

} // namespace

nkey::nkey(nkey_kind kind, crypto::ed25519_key key) : kind_{kind}, key_{std::move(key)} {
  std::string bytes{static_cast<char>(kind)};
  public_key_ = encode(bytes.append(crypto::view(key_.public_key())));
}

nkey nkey::generate(nkey_kind kind) {
  return {kind, crypto::ed25519_key::generate()};
}

nkey nkey::derive(nkey_kind kind,
                  const crypto::secret& from,
                  std::string_view salt,
                  std::string_view info) {
  return {kind, crypto::ed25519_key::derive(from, salt, info)};
}

result<nkey> nkey::from_seed(const crypto::secret& seed) {
  auto bytes = decode(seed.expose());
  if (bytes.size() != key_size + 2)
    return fail(errc::invalid_argument, "not an nkey seed");
  // The prefix is spread over two bytes: 5 bits that say seed, 8 bits of kind, 3 bits 0.
  const auto first = static_cast<std::uint8_t>(bytes[0]);
  const auto second = static_cast<std::uint8_t>(bytes[1]);
  const auto prefix = static_cast<std::uint8_t>((first & 7) << 5 | second >> 3);
  if ((first & 0xF8) != seed_prefix || (second & 7) != 0 || !is_kind(prefix))
    return fail(errc::invalid_argument, "not an nkey seed");
  auto key = crypto::ed25519_key::from_seed(crypto::secret{std::string_view{bytes}.substr(2)});
  crypto::wipe(bytes);
  if (!key)
    return tl::unexpected(key.error());
  return nkey{static_cast<nkey_kind>(prefix), std::move(*key)};
}

crypto::secret nkey::seed() const {
  const auto prefix = static_cast<std::uint8_t>(kind_);
  std::string bytes{static_cast<char>(seed_prefix | prefix >> 5),
                    static_cast<char>((prefix & 31) << 3)};
  auto text = encode(bytes.append(key_.seed().expose()));
  crypto::wipe(bytes);
  return crypto::secret::take(text);
}

std::string nkey::sign(std::string_view message) const {
  return std::string{crypto::view(key_.sign(message))};
}

result<crypto::ed25519_public_key> parse_public_nkey(nkey_kind kind, std::string_view text) {
  const auto bytes = decode(text);
  if (bytes.size() != key_size + 1
      || static_cast<std::uint8_t>(bytes[0]) != static_cast<std::uint8_t>(kind))
    return fail(errc::invalid_argument, "not a public nkey of the kind expected here");
  crypto::ed25519_public_key key{};
  std::transform(bytes.begin() + 1, bytes.end(), key.begin(),
                 [](char c) { return static_cast<std::uint8_t>(c); });
  return key;
}

} // namespace marchproxy::bus

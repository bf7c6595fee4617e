// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace marchproxy::packet_worker {

/// Two random words that only this process knows: whoever sends packets must not be able to aim
/// connections at one place of the table.
using hash_seed = std::array<std::uint64_t, 2>;

/// Hash of a key of 40 bytes without padding of its own, mp_flow_key or mp_fragment_key: folded
/// 64x64 multiplications, each of an input word with a secret one (the construction of wyhash). hot
/// path
template <class Key>
[[nodiscard]] std::uint64_t flow_hash(const Key& key, const hash_seed& seed) noexcept {
  std::array<std::uint64_t, 5> word{};
  static_assert(sizeof key == sizeof word);
  std::memcpy(word.data(), &key, sizeof key);
  auto fold = [](std::uint64_t a, std::uint64_t b) {
    __extension__ using wide = unsigned __int128;
    auto product = static_cast<wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  };
  auto a = fold(word[0] ^ seed[0], word[1] ^ 0xa076'1d64'78bd'642fULL);
  auto b = fold(word[2] ^ seed[1], word[3] ^ 0xe703'7ed1'a0b4'28dbULL);
  return fold(a ^ word[4] ^ seed[1], b ^ seed[0] ^ 0x8ebc'6af0'9c88'c6e3ULL);
}

} // namespace marchproxy::packet_worker

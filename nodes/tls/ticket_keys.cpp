// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/tls/ticket_keys.hpp"

#include "actors/base/error.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>

namespace marchproxy::tls {

namespace {

void fill(std::span<unsigned char> bytes) {
  MP_INVARIANT(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
}

} // namespace

ticket_keys::key ticket_keys::sealing(clock::time_point now) {
  const std::lock_guard hold{lock_};
  forget_old(now);
  if (keys_.empty() || now - keys_.back().made >= seals_for) {
    auto& made = keys_.emplace_back();
    fill(made.name);
    fill(made.cipher);
    fill(made.mac);
    made.made = now;
  }
  return keys_.back();
}

std::optional<ticket_keys::key> ticket_keys::opening(std::span<const unsigned char, 16> name,
                                                     clock::time_point now) {
  const std::lock_guard hold{lock_};
  forget_old(now);
  const auto found = std::find_if(keys_.begin(), keys_.end(), [&](const key& one) {
    return std::equal(name.begin(), name.end(), one.name.begin());
  });
  return found != keys_.end() ? std::optional{*found} : std::nullopt;
}

void ticket_keys::forget_old(clock::time_point now) {
  while (!keys_.empty() && now - keys_.front().made >= opens_for) {
    OPENSSL_cleanse(&keys_.front(), sizeof(key));
    keys_.pop_front();
  }
}

ticket_keys::~ticket_keys() {
  for (auto& one : keys_)
    OPENSSL_cleanse(&one, sizeof one);
}

} // namespace marchproxy::tls

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <span>

namespace marchproxy::tls {

/// The keys that session tickets are sealed with (RFC 5077 4). They never leave the process; a key
/// seals for an hour and opens for an hour more, so a stolen one opens little. Any thread.
class ticket_keys {
public:
  using clock = std::chrono::steady_clock;
  static constexpr std::chrono::hours seals_for{1};
  static constexpr std::chrono::hours opens_for{2}; ///< from when it was made

  struct key {
    std::array<unsigned char, 16> name;
    std::array<unsigned char, 32> cipher; ///< AES-256
    std::array<unsigned char, 32> mac;    ///< HMAC-SHA-256
    clock::time_point made;
  };
  /// The one that seals now; a new one when it is time.
  [[nodiscard]] key sealing(clock::time_point now);
  /// The one of that name, if it opens still.
  [[nodiscard]] std::optional<key> opening(std::span<const unsigned char, 16> name,
                                           clock::time_point now);

  ticket_keys() = default;
  ticket_keys(const ticket_keys&) = delete;
  ticket_keys& operator=(const ticket_keys&) = delete;
  ~ticket_keys();

private:
  void forget_old(clock::time_point now);

  std::mutex lock_;      ///< taken once or twice a handshake
  std::deque<key> keys_; ///< oldest first
};

} // namespace marchproxy::tls

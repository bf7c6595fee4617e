// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/stream.hpp"
#include "nodes/wire/client_hello.hpp"

#include <cstdint>

namespace marchproxy::relay {

/// Holds what a client sends first until its TLS hello is whole, or until it is clear that there is
/// none. Holds no more than that takes: a hello's bound is below a block's size.
class hello_peek {
public:
  enum class state : std::uint8_t {
    waiting,   ///< for more
    plain,     ///< no TLS, or the client ended without a word
    hello,     ///< whole
    malformed, ///< TLS, but no hello that can be read, or the client ended within it
    gone,      ///< the connection broke
  };
  /// @param early  what was read of the client already
  explicit hello_peek(buffer early) noexcept : held_(std::move(early)) {}

  [[nodiscard]] state advance(stream& client);
  /// While waiting: there is a beginning.
  [[nodiscard]] bool begun() const noexcept { return !held_.empty(); }
  /// Of state hello, until take().
  [[nodiscard]] const wire::client_hello& hello() const noexcept { return scanner_.hello(); }
  /// All that was read.
  [[nodiscard]] buffer take() noexcept { return std::move(held_); }

private:
  buffer held_;
  wire::client_hello_scanner scanner_;
};

} // namespace marchproxy::relay

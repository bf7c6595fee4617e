// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/wire/parse_state.hpp"

#include <cstddef>
#include <string_view>

/// How a client of a plain TCP port says whose it is: the handshake of the earlier MarchProxy's TCP
/// proxy (COMPAT-1), the server's side. docs/listeners.md.
namespace marchproxy::wire::auth_line {

/// What the client is asked, byte for byte as the earlier proxy did: its clients wait for the last
/// line.
constexpr std::string_view prompt =
  "MARCHPROXY_AUTH\nPlease provide authentication in format:\nSERVICE_ID:TOKEN\n";
constexpr std::string_view accepted = "AUTH_OK\n";

constexpr std::size_t max_service = 100;
constexpr std::size_t max_token = std::size_t{8} * 1024; ///< as of a JWT

struct answer {
  std::string_view service; ///< an id in decimal, or a name
  std::string_view token;   ///< visible ASCII
};

struct parsed {
  parse_state state = parse_state::need_more;
  std::size_t consumed = 0; ///< bytes of the line when complete; what follows is the flow's
  answer value = {};
};

/// `SERVICE:TOKEN` and a line feed, with or without a carriage return before it.
/// @param in  the bytes received so far
[[nodiscard]] parsed parse_answer(std::string_view in) noexcept;

} // namespace marchproxy::wire::auth_line

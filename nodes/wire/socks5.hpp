// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/wire/host.hpp"
#include "nodes/wire/parse_state.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

/// SOCKS version 5 (RFC 1928) with username and password (RFC 1929): the server's side.
namespace marchproxy::wire::socks5 {

enum class method : std::uint8_t { none = 0, username_password = 2, unacceptable = 0xff };
enum class command : std::uint8_t { connect = 1, bind = 2, udp_associate = 3 };

/// RFC 1928 section 6.
enum class reply_code : std::uint8_t {
  succeeded = 0,
  general_failure = 1,
  not_allowed = 2,
  network_unreachable = 3,
  host_unreachable = 4,
  connection_refused = 5,
  ttl_expired = 6,
  command_not_supported = 7,
  address_type_not_supported = 8,
};

/// @param consumed  bytes of the element when complete
/// @param reply     what to answer when the state is error
template <class Element>
struct parsed {
  parse_state state = parse_state::need_more;
  std::size_t consumed = 0;
  Element value = {};
  reply_code reply = reply_code::general_failure;
};

struct greeting {
  std::string_view methods; ///< one byte each
  [[nodiscard]] bool offers(method m) const noexcept {
    return methods.find(static_cast<char>(m)) != std::string_view::npos;
  }
};

struct credentials {
  std::string_view username; ///< 1 to 255 bytes, any value
  std::string_view password;
};

struct request {
  socks5::command command = command::connect;
  host_port
    target; ///< a domain that is written as an address becomes that address; the port may be 0
};

// Each takes the bytes received so far from the element's first.
[[nodiscard]] parsed<greeting> parse_greeting(std::string_view in) noexcept;
[[nodiscard]] parsed<credentials> parse_credentials(std::string_view in) noexcept;
/// @errors address_type_not_supported; command_not_supported for an unknown command;
/// general_failure for another
///         version or a domain that is no host name
[[nodiscard]] parsed<request> parse_request(std::string_view in) noexcept;

/// RFC 1928 section 7: what a client of UDP ASSOCIATE sends.
struct datagram {
  host_port target;
  std::string_view data;
};
/// None for what is malformed, for port 0, and for fragments, which an implementation may drop.
[[nodiscard]] std::optional<datagram> parse_datagram(std::string_view in) noexcept;

[[nodiscard]] std::array<char, 2> method_reply(method m) noexcept;
[[nodiscard]] std::array<char, 2> credentials_reply(bool accepted) noexcept;

struct reply_bytes {
  std::array<char, 22> bytes{};
  std::size_t size = 0;
  [[nodiscard]] std::string_view view() const noexcept { return {bytes.data(), size}; }
};
/// @param bound  our address towards the target; 0.0.0.0:0 when there is none
[[nodiscard]] reply_bytes
reply(reply_code code, const ip_address& bound = {}, std::uint16_t port = 0) noexcept;
/// What goes in front of a datagram to the client: who sent it.
[[nodiscard]] reply_bytes datagram_head(const ip_address& from, std::uint16_t port) noexcept;

} // namespace marchproxy::wire::socks5

// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/wire/socks5.hpp"

#include <algorithm>

namespace marchproxy::wire::socks5 {

namespace {

constexpr std::uint8_t version = 5;
constexpr std::uint8_t credentials_version = 1;
enum address_type : std::uint8_t { type_v4 = 1, type_domain = 3, type_v6 = 4 };

std::uint8_t byte(std::string_view in, std::size_t at) noexcept {
  return static_cast<std::uint8_t>(in[at]);
}

/// Length of the request's address field with its length byte; 0: unknown type.
std::size_t address_size(std::string_view in) noexcept {
  auto type = byte(in, 3);
  if (type == type_v4)
    return 4;
  if (type == type_v6)
    return 16;
  return type == type_domain ? std::size_t{1} + byte(in, 4) : 0;
}

std::optional<host> read_address(std::uint8_t type, std::string_view field) noexcept {
  if (type == type_domain) {
    auto text = field.substr(1);
    if (auto address = parse_ip(text))
      return host{*address};
    return host::parse(text);
  }
  std::array<std::uint8_t, 16> bytes{};
  std::transform(field.begin(), field.end(), bytes.begin(),
                 [](char c) { return static_cast<std::uint8_t>(c); });
  return host{type == type_v4 ? ip_address{ip_family::v4, bytes} : ip_address::v6(bytes)};
}

} // namespace

parsed<greeting> parse_greeting(std::string_view in) noexcept {
  if (!in.empty() && byte(in, 0) != version)
    return {parse_state::error, 0, {}};
  if (in.size() < 2)
    return {};
  std::size_t size = std::size_t{2} + byte(in, 1);
  if (size == 2)
    return {parse_state::error, 0, {}};
  if (in.size() < size)
    return {};
  return {parse_state::complete, size, {in.substr(2, size - 2)}};
}

parsed<credentials> parse_credentials(std::string_view in) noexcept {
  if (!in.empty() && byte(in, 0) != credentials_version)
    return {parse_state::error, 0, {}};
  if (in.size() < 2)
    return {};
  std::size_t name = byte(in, 1);
  if (name == 0)
    return {parse_state::error, 0, {}};
  if (in.size() < 3 + name)
    return {};
  std::size_t size = 3 + name + byte(in, 2 + name);
  if (in.size() < size)
    return {};
  return {parse_state::complete, size, {in.substr(2, name), in.substr(3 + name, size - 3 - name)}};
}

parsed<request> parse_request(std::string_view in) noexcept {
  if (!in.empty() && byte(in, 0) != version)
    return {parse_state::error, 0, {}};
  if (in.size() < 5)
    return {};
  if (byte(in, 1) < 1 || byte(in, 1) > 3)
    return {parse_state::error, 0, {}, reply_code::command_not_supported};
  auto address = address_size(in);
  if (address == 0)
    return {parse_state::error, 0, {}, reply_code::address_type_not_supported};
  auto size = 4 + address + 2;
  if (in.size() < size)
    return {};
  auto target = read_address(byte(in, 3), in.substr(4, address));
  if (!target)
    return {parse_state::error, 0, {}};
  auto port = static_cast<std::uint16_t>(byte(in, size - 2) << 8 | byte(in, size - 1));
  return {parse_state::complete, size, {static_cast<command>(byte(in, 1)), {*target, port}}};
}

std::optional<datagram> parse_datagram(std::string_view in) noexcept {
  if (in.size() < 5 || byte(in, 0) != 0 || byte(in, 1) != 0 || byte(in, 2) != 0)
    return std::nullopt;
  auto address = address_size(in);
  auto size = 4 + address + 2;
  if (address == 0 || in.size() < size)
    return std::nullopt;
  auto target = read_address(byte(in, 3), in.substr(4, address));
  auto port = static_cast<std::uint16_t>(byte(in, size - 2) << 8 | byte(in, size - 1));
  if (!target || port == 0)
    return std::nullopt;
  return datagram{{*target, port}, in.substr(size)};
}

std::array<char, 2> method_reply(method m) noexcept {
  return {static_cast<char>(version), static_cast<char>(m)};
}

std::array<char, 2> credentials_reply(bool accepted) noexcept {
  return {static_cast<char>(credentials_version), static_cast<char>(accepted ? 0 : 1)};
}

namespace {

/// Three bytes of the message's own, then address and port.
reply_bytes
with_address(std::array<char, 3> begin, const ip_address& bound, std::uint16_t port) noexcept {
  reply_bytes out;
  auto v4 = bound.family == ip_family::v4;
  out.bytes = {begin[0], begin[1], begin[2], static_cast<char>(v4 ? type_v4 : type_v6)};
  auto* at =
    std::transform(bound.bytes.begin(), bound.bytes.begin() + (v4 ? 4 : 16), out.bytes.begin() + 4,
                   [](std::uint8_t b) { return static_cast<char>(b); });
  *at++ = static_cast<char>(port >> 8);
  *at++ = static_cast<char>(port & 0xff);
  out.size = static_cast<std::size_t>(at - out.bytes.data());
  return out;
}

} // namespace

reply_bytes reply(reply_code code, const ip_address& bound, std::uint16_t port) noexcept {
  return with_address({static_cast<char>(version), static_cast<char>(code), 0}, bound, port);
}

reply_bytes datagram_head(const ip_address& from, std::uint16_t port) noexcept {
  return with_address({0, 0, 0}, from, port);
}

} // namespace marchproxy::wire::socks5

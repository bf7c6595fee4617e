// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/proxy_protocol.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

namespace marchproxy::wire::proxy_protocol {

namespace {

using namespace std::string_view_literals;

constexpr auto v1_begin = "PROXY "sv;
constexpr auto v2_begin = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::size_t v2_head = 16;
enum command : std::uint8_t { command_local = 0x20, command_proxy = 0x21 };
enum transport : std::uint8_t {
  tcp_v4 = 0x11,
  udp_v4 = 0x12,
  tcp_v6 = 0x21,
  udp_v6 = 0x22,
  family_mask = 0xf0,
  last_family = 0x30,
  protocol_mask = 0x0f,
  last_protocol = 0x02,
};

constexpr parsed broken{parse_state::error, 0, {}};

std::uint8_t byte(std::string_view in, std::size_t at) noexcept {
  return static_cast<std::uint8_t>(in[at]);
}

std::uint16_t number(std::string_view in, std::size_t at) noexcept {
  return static_cast<std::uint16_t>(byte(in, at) << 8 | byte(in, at + 1));
}

ip_address address(std::string_view in, std::size_t at, std::size_t size) noexcept {
  std::array<std::uint8_t, 16> bytes{};
  std::transform(in.begin() + static_cast<std::ptrdiff_t>(at),
                 in.begin() + static_cast<std::ptrdiff_t>(at + size), bytes.begin(),
                 [](char c) { return static_cast<std::uint8_t>(c); });
  return size == 4 ? ip_address{ip_family::v4, bytes} : ip_address::v6(bytes);
}

/// Digits only, no leading zero, at most 65535.
std::optional<std::uint16_t> port(std::string_view text) noexcept {
  std::uint16_t out = 0;
  if (text.empty() || (text.size() > 1 && text.front() == '0'))
    return std::nullopt;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (ec != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return out;
}

/// An address as the line's family writes it.
std::optional<ip_address> address(std::string_view text, bool v4) noexcept {
  auto out = parse_ip(text);
  // An IPv4-mapped address is written as IPv6 and held as IPv4.
  auto written_v4 = text.find(':') == std::string_view::npos;
  return out && written_v4 == v4 ? out : std::nullopt;
}

parsed parse_v1(std::string_view in) noexcept {
  auto end = in.substr(0, max_v1).find("\r\n");
  if (end == std::string_view::npos)
    return in.size() < max_v1 ? parsed{} : broken;
  parsed out{parse_state::complete, end + 2, {}};
  auto line = in.substr(v1_begin.size(), end - v1_begin.size());
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN "))
    return out;
  std::array<std::string_view, 5> words;
  for (auto& word : words) {
    auto space = line.find(' ');
    word = line.substr(0, space);
    line = space == std::string_view::npos ? std::string_view{} : line.substr(space + 1);
    if (word.empty() || (space == std::string_view::npos) != (&word == &words.back()))
      return broken;
  }
  auto v4 = words[0] == "TCP4";
  if (!v4 && words[0] != "TCP6")
    return broken;
  auto source = address(words[1], v4);
  auto destination = address(words[2], v4);
  auto source_port = port(words[3]);
  auto destination_port = port(words[4]);
  if (!source || !destination || !source_port || !destination_port)
    return broken;
  out.of = {*source, *source_port, *destination, *destination_port};
  return out;
}

parsed parse_v2(std::string_view in) noexcept {
  if (in.size() < v2_head)
    return in.size() > 12 && (byte(in, 12) & 0xf0) != 0x20 ? broken : parsed{};
  auto what = byte(in, 12);
  auto how = byte(in, 13);
  if ((what != command_local && what != command_proxy) || (how & family_mask) > last_family
      || (how & protocol_mask) > last_protocol)
    return broken;
  std::size_t rest = number(in, 14);
  auto whole = v2_head + rest;
  if (whole > max_v2)
    return broken;
  auto v4 = (how & family_mask) == (tcp_v4 & family_mask);
  auto v6 = (how & family_mask) == (tcp_v6 & family_mask);
  std::size_t size = v4 ? 4 : 16;
  if (what == command_proxy && (v4 || v6) && rest < 2 * size + 4)
    return broken;
  if (in.size() < whole)
    return {};
  parsed out{parse_state::complete, whole, {}};
  // UDP (DGRAM) headers are for datagrams; on a connection they speak for nobody.
  if (what == command_proxy && (how == tcp_v4 || how == tcp_v6))
    out.of = {address(in, v2_head, size), number(in, v2_head + 2 * size),
              address(in, v2_head + size, size), number(in, v2_head + 2 * size + 2)};
  return out;
}

/// The address in 16 bytes, an IPv4 one mapped.
std::array<std::uint8_t, 16> wide(const ip_address& from) noexcept {
  if (from.family == ip_family::v6)
    return from.bytes;
  std::array<std::uint8_t, 16> out{};
  out[10] = out[11] = 0xff;
  std::copy_n(from.bytes.begin(), 4, out.begin() + 12);
  return out;
}

std::string text(const ip_address& from, bool v4) {
  return v4 || from.family == ip_family::v6 ? to_string(from) : "::ffff:" + to_string(from);
}

void append(std::string& out, std::span<const std::uint8_t> bytes) {
  std::transform(bytes.begin(), bytes.end(), std::back_inserter(out),
                 [](std::uint8_t b) { return static_cast<char>(b); });
}

void append(std::string& out, std::uint16_t n) {
  out += static_cast<char>(n >> 8);
  out += static_cast<char>(n & 0xff);
}

} // namespace

parsed parse(std::string_view in) noexcept {
  auto begins = [&](std::string_view with) {
    auto common = std::min(in.size(), with.size());
    return in.substr(0, common) == with.substr(0, common);
  };
  if (begins(v1_begin))
    return in.size() < v1_begin.size() ? parsed{} : parse_v1(in);
  if (begins(v2_begin))
    return in.size() < v2_begin.size() ? parsed{} : parse_v2(in);
  return broken;
}

std::string write(version v, const addresses& of) {
  auto v4 = of.source.family == ip_family::v4 && of.destination.family == ip_family::v4;
  if (v == version::v1)
    return std::string{v1_begin} + (v4 ? "TCP4 " : "TCP6 ") + text(of.source, v4) + " "
           + text(of.destination, v4) + " " + std::to_string(of.source_port) + " "
           + std::to_string(of.destination_port) + "\r\n";
  std::string out{v2_begin};
  out += static_cast<char>(command_proxy);
  out += static_cast<char>(v4 ? tcp_v4 : tcp_v6);
  append(out, v4 ? std::uint16_t{12} : std::uint16_t{36});
  auto source = v4 ? of.source.bytes : wide(of.source);
  auto destination = v4 ? of.destination.bytes : wide(of.destination);
  append(out, std::span{source}.first(v4 ? 4 : 16));
  append(out, std::span{destination}.first(v4 ? 4 : 16));
  append(out, of.source_port);
  append(out, of.destination_port);
  return out;
}

std::string write_for_nobody(version v) {
  if (v == version::v1)
    return std::string{v1_begin} + "UNKNOWN\r\n";
  std::string out{v2_begin};
  out += static_cast<char>(command_local);
  out.append(3, '\0'); // no family, no transport, nothing behind
  return out;
}

} // namespace marchproxy::wire::proxy_protocol

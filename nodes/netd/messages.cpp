// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/netd/messages.hpp"

#include "actors/base/version.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>

namespace marchproxy::netd {

namespace {

constexpr std::size_t longest_name = 64;
constexpr std::size_t longest_text = 900; ///< of an error
constexpr std::size_t longest_detail = 500;
constexpr std::size_t most_checks = 6;

class writer {
public:
  template <class Number>
  void number(Number value) {
    auto rest = static_cast<std::uint64_t>(value);
    for (std::size_t i = 0; i < sizeof(Number); ++i, rest >>= 8)
      out_ += static_cast<char>(rest & 0xff);
  }
  void text(std::string_view value, std::size_t most) {
    value = value.substr(0, most);
    number(static_cast<std::uint16_t>(value.size()));
    out_ += value;
  }
  void address(const net::endpoint& at) {
    number(static_cast<std::uint8_t>(at.address.family == ip_family::v4 ? 4 : 6));
    for (auto byte : at.address.bytes)
      number(byte);
    number(at.port);
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

private:
  std::string out_;
};

/// Reads as long as the bytes make sense; ok() tells in the end.
class reader {
public:
  explicit reader(std::string_view in) : in_(in) {}

  template <class Number>
  Number number() {
    std::uint64_t out = 0;
    if (in_.size() < sizeof(Number))
      return broken<Number>();
    for (std::size_t i = sizeof(Number); i-- > 0;)
      out = out << 8 | static_cast<std::uint8_t>(in_[i]);
    in_.remove_prefix(sizeof(Number));
    return static_cast<Number>(out);
  }
  template <class Number>
  Number number(Number least, Number most) {
    auto out = number<Number>();
    return out < least || out > most ? broken<Number>() : out;
  }
  bool flag() { return number<std::uint8_t>(0, 1) == 1; }
  int index() { return number<std::int32_t>(1, 0x7fff'ffff); }
  std::string text(std::size_t most) {
    const auto size = number<std::uint16_t>();
    if (size > most || size > in_.size())
      return broken<std::string>();
    std::string out{in_.substr(0, size)};
    in_.remove_prefix(size);
    return out;
  }
  net::endpoint address() {
    const auto version = number<std::uint8_t>(4, 6);
    net::endpoint out;
    out.address.family = version == 4 ? ip_family::v4 : ip_family::v6;
    for (auto& byte : out.address.bytes)
      byte = number<std::uint8_t>();
    out.port = number<std::uint16_t>();
    const auto unused = std::any_of(out.address.bytes.begin() + 4, out.address.bytes.end(),
                                    [](auto byte) { return byte != 0; });
    return version == 5 || (version == 4 && unused) ? broken<net::endpoint>() : out;
  }
  [[nodiscard]] bool ok() const noexcept { return ok_ && in_.empty(); }

private:
  template <class Value>
  Value broken() {
    ok_ = false;
    in_ = {};
    return {};
  }

  std::string_view in_;
  bool ok_ = true;
};

void put(writer&, const probe&) {}
void put(writer& to, const load_tc& r) {
  // A field more does not compile here, and then wants to be put and taken.
  const auto& [connections, of_source, forwards] = r.options;
  to.number(connections);
  to.number(of_source);
  to.number(static_cast<std::uint8_t>(forwards));
}
void put(writer&, const load_xdp&) {}
void put(writer& to, const make_image& r) {
  to.number(r.pages);
}
void put(writer&, const make_counter_block&) {}
void put(writer& to, const attach_tc& r) {
  to.number(r.ifindex);
}
void put(writer& to, const detach_tc& r) {
  to.number(r.ifindex);
}
void put(writer& to, const attach_xdp& r) {
  to.number(r.ifindex);
  to.number(static_cast<std::uint8_t>(r.mode));
}
void put(writer& to, const detach_xdp& r) {
  to.number(r.ifindex);
  to.number(static_cast<std::uint8_t>(r.mode));
}
void put(writer& to, const listen_tcp& r) {
  to.address(r.at);
  const auto& [backlog, reuse_port, transparent] = r.options;
  to.number(backlog);
  to.number(static_cast<std::uint8_t>(reuse_port));
  to.number(static_cast<std::uint8_t>(transparent));
}
void put(writer& to, const bind_udp& r) {
  to.address(r.at);
  const auto& [reuse_port, transparent] = r.options;
  to.number(static_cast<std::uint8_t>(reuse_port));
  to.number(static_cast<std::uint8_t>(transparent));
}
void put(writer& to, const widen_receive_buffer& r) {
  to.number(r.bytes);
}
void put(writer& to, const clear_xdp& r) {
  to.number(r.ifindex);
}

void take(reader&, probe&) {}
void take(reader& from, load_tc& r) {
  r.options.connections = from.number<std::uint32_t>(1, most_connections);
  r.options.connections_of_source = from.number<std::uint32_t>(1, most_connections);
  r.options.forwards = from.flag();
}
void take(reader&, load_xdp&) {}
void take(reader& from, make_image& r) {
  r.pages = from.number<std::uint32_t>(1, most_pages);
}
void take(reader&, make_counter_block&) {}
void take(reader& from, attach_tc& r) {
  r.ifindex = from.index();
}
void take(reader& from, detach_tc& r) {
  r.ifindex = from.index();
}
tier_ebpf::xdp_mode take_mode(reader& from) {
  return from.flag() ? tier_ebpf::xdp_mode::generic : tier_ebpf::xdp_mode::native;
}
void take(reader& from, attach_xdp& r) {
  r.ifindex = from.index();
  r.mode = take_mode(from);
}
void take(reader& from, detach_xdp& r) {
  r.ifindex = from.index();
  r.mode = take_mode(from);
}
void take(reader& from, listen_tcp& r) {
  r.at = from.address();
  r.options.backlog = from.number<std::int32_t>(1, longest_backlog);
  r.options.reuse_port = from.flag();
  r.options.transparent = from.flag();
}
void take(reader& from, bind_udp& r) {
  r.at = from.address();
  r.options.reuse_port = from.flag();
  r.options.transparent = from.flag();
}
void take(reader& from, widen_receive_buffer& r) {
  r.bytes = from.number<std::uint32_t>(1, widest_buffer);
}
void take(reader& from, clear_xdp& r) {
  r.ifindex = from.index();
}

void put(writer& to, const given& r) {
  to.number(static_cast<std::uint8_t>(r.kind));
  to.text(r.name, longest_name);
}
void put(writer& to, const done& r) {
  const auto count = std::min(r.report.checks.size(), most_checks);
  to.number(static_cast<std::uint8_t>(count));
  for (std::size_t i = 0; i < count; ++i) {
    const auto& [name, ok, detail] = r.report.checks[i];
    to.text(name, longest_name);
    to.number(static_cast<std::uint8_t>(ok));
    to.text(detail, longest_detail);
  }
}
void put(writer& to, const error& r) {
  to.number(static_cast<std::uint8_t>(r.code));
  to.text(r.message, longest_text);
}

void take(reader& from, given& r) {
  r.kind = static_cast<given_kind>(from.number<std::uint8_t>(0, 2));
  r.name = from.text(longest_name);
}
void take(reader& from, done& r) {
  const auto count = from.number<std::uint8_t>(0, most_checks);
  for (unsigned i = 0; i < count; ++i) {
    tier_ebpf::probe_report::check one;
    one.name = from.text(longest_name);
    one.ok = from.flag();
    one.detail = from.text(longest_detail);
    r.report.checks.push_back(std::move(one));
  }
}
void take(reader& from, error& r) {
  r.code = static_cast<errc>(from.number<std::uint8_t>(
    static_cast<std::uint8_t>(errc::invalid_argument), static_cast<std::uint8_t>(errc::internal)));
  r.message = from.text(longest_text);
}

/// The alternative with this number, with its default values.
template <class Variant, std::size_t... I>
std::optional<Variant> alternative(std::size_t number, std::index_sequence<I...>) {
  std::optional<Variant> out;
  static_cast<void>(((I == number ? (out.emplace(std::in_place_index<I>), true) : false) || ...));
  return out;
}

template <class Variant>
std::string write(const Variant& all) {
  writer out;
  out.number(static_cast<std::uint8_t>(all.index()));
  std::visit([&](const auto& one) { put(out, one); }, all);
  return out.take();
}

template <class Variant>
std::optional<Variant> read(std::string_view bytes) {
  reader in{bytes};
  auto out = alternative<Variant>(in.number<std::uint8_t>(),
                                  std::make_index_sequence<std::variant_size_v<Variant>>{});
  if (out)
    std::visit([&](auto& one) { take(in, one); }, *out);
  return out && in.ok() ? out : std::nullopt;
}

} // namespace

std::string encode(const request& r) {
  return write(r);
}

result<request> decode_request(std::string_view bytes) {
  auto out = read<request>(bytes);
  if (!out)
    return fail(errc::invalid_argument, "no request of this version");
  return std::move(*out);
}

std::string encode(const reply& r) {
  return write(r);
}

result<reply> decode_reply(std::string_view bytes) {
  auto out = read<reply>(bytes);
  if (!out)
    return fail(errc::corrupt, "marchproxy-netd answers with no reply of this version");
  return std::move(*out);
}

std::string hello() {
  return "marchproxy-netd " + std::string{version()};
}

} // namespace marchproxy::netd

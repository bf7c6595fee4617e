// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/model.hpp"
#include "actors/model/text_rules.hpp"

#include <algorithm>
#include <charconv>

namespace marchproxy::model {

namespace {

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// RFC 1123 2.1, and the underscore that internal names use.
bool is_label(std::string_view label) noexcept {
  const auto allowed = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
  };
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-'
         && std::all_of(label.begin(), label.end(), allowed);
}

/// A last label that resolvers take for a number makes the whole an IPv4 address to them (WHATWG
/// URL, "ends in a number"): 127.1, 0x7f.1, 2130706433.
bool ends_in_a_number(std::string_view name) noexcept {
  const auto last = name.substr(name.rfind('.') + 1);
  if (std::all_of(last.begin(), last.end(), is_digit))
    return true;
  return last.substr(0, 2) == "0x" && std::all_of(last.begin() + 2, last.end(), [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'f');
         });
}

tl::unexpected<error> bad_prefix(std::string_view text, std::string_view field) {
  const auto slash = text.find('/');
  const auto address = parse_ip(text.substr(0, slash));
  unsigned length = 0;
  const auto digits = text.substr(slash + 1);
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (!address || ec != std::errc{} || end != digits.data() + digits.size()
      || length > address->width())
    return fail_field(std::string{field}, "must be a network such as 10.0.0.0/8 or 2001:db8::/32");
  const auto meant = make_prefix(*address, static_cast<std::uint8_t>(length));
  return fail_field(std::string{field}, "has bits set beyond its length; did you mean `"
                                          + marchproxy::to_string(meant) + "`?");
}

result<dns_name> parse_name(std::string_view text, std::string_view field) {
  const std::string at{field};
  if (std::any_of(text.begin(), text.end(), [](char c) { return c < 0; }))
    return fail_field(at, "names with letters beyond ASCII are written in Punycode (xn--...)");
  dns_name out{std::string{text}, false};
  std::transform(out.name.begin(), out.name.end(), out.name.begin(), lower);
  if (!out.name.empty() && out.name.back() == '.')
    out.name.pop_back();
  if (out.name.size() > 253) // RFC 1035 2.3.4, without length bytes and root
    return fail_field(at, "is longer than a name can be (253 bytes)");
  if (out.name.substr(0, 2) == "*.") {
    out.wildcard = true;
    out.name.erase(0, 2);
  }
  if (out.name.find('*') != std::string::npos)
    return fail_field(at, "a wildcard is the whole first label: *.example.org");
  std::string_view rest = out.name;
  for (bool more = true; more;) {
    const auto dot = rest.find('.');
    if (!is_label(rest.substr(0, dot)))
      return fail_field(at, "must be an address, a network, a name or a wildcard name; got `"
                              + printable(text) + "`");
    more = dot != std::string_view::npos;
    rest.remove_prefix(more ? dot + 1 : rest.size());
  }
  if (ends_in_a_number(out.name))
    return fail_field(at, "looks like an IPv4 address but is none: " + printable(text));
  return out;
}

} // namespace

result<service_address> parse_address(std::string_view text, std::string_view field) {
  if (text.empty())
    return fail_field(std::string{field}, "must not be empty");
  if (const auto prefix = parse_prefix(text))
    return service_address{*prefix};
  if (text.find('/') != std::string_view::npos)
    return bad_prefix(text, field);
  if (text.find(':') != std::string_view::npos)
    return fail_field(std::string{field},
                      "must be an IPv6 address without brackets, zone and port, or a name");
  auto name = parse_name(text, field);
  if (!name)
    return tl::unexpected(std::move(name.error()));
  return service_address{std::move(*name)};
}

std::string to_string(const service_address& address) {
  if (const auto* prefix = std::get_if<ip_prefix>(&address))
    return marchproxy::to_string(*prefix);
  const auto& name = std::get<dns_name>(address);
  return name.wildcard ? "*." + name.name : name.name;
}

} // namespace marchproxy::model

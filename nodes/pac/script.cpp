// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/pac/script.hpp"

#include "actors/policy/candidates.hpp"

#include <algorithm>

namespace marchproxy::pac {

namespace {

// Old engines run it too, so it is ECMAScript 3. `rules` comes before it, in the policy's order:
// the first that holds decides. Of a rule, d: direct; n: a name; w: what is below a name; a: bytes
// of a prefix, l: its length; none of them: any; p: pairs of ports, else all; g: of the special
// ranges it holds only for those in s.
constexpr std::string_view function = R"js(
function portOf(url) {
  var parts = /^([a-z][a-z0-9+.\-]*):\/\/(?:[^\/?#@]*@)?(?:\[[^\]]*\]|[^\/?#:]*)(?::(\d+))?/i.exec(url);
  if (!parts) return 0;
  if (parts[2]) return parseInt(parts[2], 10);
  return {http: 80, ws: 80, https: 443, wss: 443, ftp: 21}[parts[1].toLowerCase()] || 0;
}
function bytes4(text) {
  var parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text), out = [], i;
  if (!parts) return null;
  for (i = 1; i < 5; i++) {
    out.push(parseInt(parts[i], 10));
    if (out[i - 1] > 255) return null;
  }
  return out;
}
function groups(text) {
  var words = text === "" ? [] : text.split(":"), out = [], i, n, four;
  for (i = 0; i < words.length; i++) {
    four = i === words.length - 1 ? bytes4(words[i]) : null;
    if (four) {
      out = out.concat(four);
      continue;
    }
    if (!/^[0-9a-f]{1,4}$/i.test(words[i])) return null;
    n = parseInt(words[i], 16);
    out.push(n >> 8, n & 255);
  }
  return out;
}
function bytes6(text) {
  var halves = text.split("::"), head, tail, i;
  if (text.indexOf(":") < 0 || halves.length > 2) return null;
  head = groups(halves[0]);
  tail = halves.length === 2 ? groups(halves[1]) : [];
  if (!head || !tail || (halves.length === 2 ? head.length + tail.length > 14 : head.length !== 16)) return null;
  while (head.length + tail.length < 16) head.push(0);
  head = head.concat(tail);
  for (i = 0; i < 10; i++) if (head[i] !== 0) return head;
  return head[10] === 255 && head[11] === 255 ? head.slice(12) : head;
}
function within(bytes, prefix, length) {
  var i, rest;
  if (bytes.length !== prefix.length) return false;
  for (i = 0; i < length >> 3; i++) if (bytes[i] !== prefix[i]) return false;
  rest = length & 7;
  return rest === 0 || (bytes[i] >> (8 - rest)) === (prefix[i] >> (8 - rest));
}
function specialOf(bytes) {
  for (var i = 0; i < special.length; i++) if (within(bytes, special[i].a, special[i].l)) return i;
  return -1;
}
function onPort(pairs, port) {
  for (var i = 0; i < pairs.length; i += 2) if (port >= pairs[i] && port <= pairs[i + 1]) return true;
  return false;
}
function holds(rule, name, bytes, range) {
  if (rule.n) return name === rule.n;
  if (rule.w) return name !== null && name.length > rule.w.length + 1 &&
      name.slice(-rule.w.length - 1) === "." + rule.w;
  if (rule.a && (!bytes || !within(bytes, rule.a, rule.l))) return false;
  if (!rule.g || range < 0) return true;
  for (var i = 0; i < rule.s.length; i++) if (rule.s[i] === range) return true;
  return false;
}
function FindProxyForURL(url, host) {
  var name = host.toLowerCase().replace(/^\[|\]$/g, "").replace(/\.$/, "");
  var bytes = bytes4(name) || bytes6(name), port = portOf(url), range = bytes ? specialOf(bytes) : -1, i, rule;
  if (bytes) name = null;
  for (i = 0; i < rules.length; i++) {
    rule = rules[i];
    if ((!rule.p || onPort(rule.p, port)) && holds(rule, name, bytes, range)) return rule.d ? "DIRECT" : proxies;
  }
  return proxies;
}
)js";

struct entry {
  policy::rank_key key;
  const model::service* to = nullptr; ///< null: all
  std::vector<model::port_range> ports;
  bool direct = false;
  bool guarded = false; ///< the private-range guard holds for it
};

bool below(std::string_view name, std::string_view above) noexcept {
  return name.size() > above.size() + 1 && name.ends_with(above)
         && name[name.size() - above.size() - 1] == '.';
}

bool overlap(const model::dns_name& a, const model::dns_name& b) noexcept {
  return (a.name == b.name && a.wildcard == b.wildcard) || (a.wildcard && below(b.name, a.name))
         || (b.wildcard && below(a.name, b.name));
}

/// True when something may match both.
bool overlap(const entry& a, const entry& b) noexcept {
  if (a.to == nullptr || b.to == nullptr)
    return true;
  const auto* prefix = std::get_if<ip_prefix>(&a.to->address);
  const auto* other = std::get_if<ip_prefix>(&b.to->address);
  if (prefix != nullptr && other != nullptr)
    return prefix->contains(*other) || other->contains(*prefix);
  return prefix == nullptr && other == nullptr
         && overlap(std::get<model::dns_name>(a.to->address),
                    std::get<model::dns_name>(b.to->address));
}

std::vector<entry> entries_for(const model::ruleset& rules, const ip_address& client) {
  constexpr auto tcp = static_cast<model::protocol_set>(model::protocol::tcp);
  std::vector<entry> out;
  policy::for_each_candidate(
    rules, client, [&](const model::mapping& m, std::uint8_t source, const model::service* to) {
      auto match = policy::effective(m, to);
      if ((match.protocols & tcp) == 0)
        return;
      const auto* where = to != nullptr ? &to->address : nullptr;
      auto denies = m.action == model::mapping_action::deny;
      out.push_back({policy::order_of(m, source, policy::specificity(where), match), to,
                     std::move(match.ports),
                     m.action == model::mapping_action::bypass && !m.auth_required,
                     !denies && !m.allow_private});
    });
  std::sort(out.begin(), out.end(), [](const entry& a, const entry& b) { return a.key < b.key; });
  return out;
}

/// Leaves what can make a difference: the proxy is the answer anyway where nothing says `direct`.
std::vector<entry> relevant(std::vector<entry> all) {
  std::vector<entry> kept;
  std::vector<entry> direct;
  for (auto e = all.rbegin(); e != all.rend(); ++e) {
    auto matters = e->direct || std::any_of(direct.begin(), direct.end(), [&](const entry& d) {
                     return overlap(*e, d);
                   });
    if (!matters)
      continue;
    if (e->direct)
      direct.push_back(*e);
    kept.push_back(std::move(*e));
  }
  std::reverse(kept.begin(), kept.end());
  return kept;
}

template <class Values>
std::string array_of(const Values& values) {
  std::string out;
  for (auto value : values)
    out += (out.empty() ? "[" : ",") + std::to_string(value);
  return out.empty() ? "[]" : out + "]";
}

std::string text_of(const ip_prefix& prefix) {
  auto bytes = prefix.base.bytes;
  auto last = bytes.begin() + prefix.base.width() / 8;
  return "a:" + array_of(std::vector<unsigned>(bytes.begin(), last))
         + ",l:" + std::to_string(prefix.length);
}

/// Numbers of the special ranges that an entry for @p to names outright.
std::vector<std::size_t> ranges_named(const model::service* to) {
  std::vector<std::size_t> out;
  const auto* prefix = to != nullptr ? std::get_if<ip_prefix>(&to->address) : nullptr;
  const auto& all = special_prefixes();
  for (std::size_t i = 0; prefix != nullptr && i < all.size(); ++i)
    if (all[i].prefix.contains(*prefix))
      out.push_back(i);
  return out;
}

std::string text_of(const entry& e) {
  std::string out = e.direct ? "{d:1" : "{d:0";
  if (e.to != nullptr) {
    if (const auto* prefix = std::get_if<ip_prefix>(&e.to->address)) {
      out += "," + text_of(*prefix);
    } else {
      const auto& name = std::get<model::dns_name>(e.to->address);
      out += std::string{name.wildcard ? ",w:\"" : ",n:\""} + name.name + "\"";
    }
  }
  if (e.ports != std::vector{model::port_range{0, 65535}}) {
    std::vector<unsigned> pairs;
    for (const auto& range : e.ports) {
      pairs.push_back(range.first);
      pairs.push_back(range.last);
    }
    out += ",p:" + array_of(pairs);
  }
  if (e.guarded)
    out += ",g:1,s:" + array_of(ranges_named(e.to));
  return out + "}";
}

/// @p items, one a line.
template <class Items, class Text>
void append_list(std::string& out, std::string_view name, const Items& items, Text&& text) {
  out += "var ";
  out += name;
  out += " = [";
  for (const auto& item : items)
    out += (&item == &*items.begin() ? "\n" : ",\n") + text(item);
  out += "];\n";
}

} // namespace

std::string
script(const model::ruleset& rules, const ip_address& client, std::string_view proxies) {
  auto entries = relevant(entries_for(rules, client));
  std::string out = "// MarchProxy: what clients of this network reach directly, by revision "
                    + std::to_string(rules.revision.value) + ".\nvar proxies = \""
                    + std::string{proxies} + "\";\n";
  append_list(out, "special", special_prefixes(),
              [](const special_prefix& s) { return "{" + text_of(s.prefix) + "}"; });
  append_list(out, "rules", entries, [](const entry& e) { return text_of(e); });
  return out.append(function);
}

} // namespace marchproxy::pac

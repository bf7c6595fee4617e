// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/image_limits.hpp"

#include "actors/crypto/digest.hpp"
#include "actors/policy/limit_terms.hpp"
#include "actors/policy/prefix_tree.hpp"

#include <algorithm>
#include <cstring>

namespace marchproxy::policy {

namespace {

/// What tells limits apart: of whom they are, and what they say.
std::uint32_t key_of(const mp_limits& limits, model::limit_scope per, std::uint64_t attempt) {
  crypto::sha256_hasher hash;
  hash.update({reinterpret_cast<const char*>(&limits), sizeof limits});
  hash.update({reinterpret_cast<const char*>(&attempt), sizeof attempt});
  std::uint32_t out = 0;
  std::memcpy(&out, hash.finish().data(), sizeof out);
  out &= ~MP_LIMITS_PER_SOURCE;
  return per == model::limit_scope::source ? out | MP_LIMITS_PER_SOURCE : std::max(out, 2U);
}

/// A service's ports and protocols, as a search reads them.
std::vector<mp_limited> entries_of(const model::service& s, std::uint32_t limits) {
  constexpr mp_u32 any = MP_PROTO_TCP | MP_PROTO_UDP | MP_PROTO_ICMP;
  const mp_u32 protocols = s.protocols == model::any_protocol ? any : s.protocols;
  if (s.ports.unrestricted())
    return {{0, 65535, protocols, limits, 0}};
  std::vector<mp_limited> out;
  for (const auto& range : s.ports.ranges())
    out.push_back({range.first, range.last, protocols, limits, 0});
  return out;
}

} // namespace

image_limits::image_limits(const model::ruleset& rules, image_builder& image)
  : rules_(rules), image_(image) {
  for (const auto& m : rules.mappings)
    if (m.active && m.limits)
      mappings_[m.id] = add(m.id.value, *m.limits);
  for (const auto& s : rules.services)
    if (s.active && s.limits)
      services_[s.id] = add(s.id.value | MP_LIMITS_OF_SERVICE, *s.limits);
}

std::uint32_t image_limits::of_mapping(mapping_id id) const {
  auto found = mappings_.find(id);
  return found == mappings_.end() ? 0 : found->second;
}

std::uint32_t image_limits::add(std::uint64_t of, const model::limits& limits) {
  mp_limits out{};
  out.of = of;
  out.max_connections = limits.max_connections.value_or(0);
  out.connections = terms_of(limits.connections);
  out.packets = terms_of(limits.packets);
  out.bytes = terms_of(limits.bytes);
  if (out.max_connections == 0 && out.connections.burst == 0 && out.packets.burst == 0
      && out.bytes.burst == 0)
    return 0; // of requests only
  std::uint64_t attempt = 0;
  const auto unkeyed = out;
  do
    out.key = key_of(unkeyed, limits.per, attempt++);
  while (!keys_.insert(out.key).second);
  all_.push_back(out);
  return image_.add_limits(out);
}

std::uint32_t image_limits::add_list(const std::vector<const model::service*>& here,
                                     std::uint32_t next) {
  std::vector<mp_limited> entries;
  for (const auto* s : here)
    for (const auto& one : entries_of(*s, services_.at(s->id)))
      entries.push_back(one);
  // Lists come from the last to the first, as each names the next.
  for (auto left = entries.size(); left > 0;) {
    const auto count = (left - 1) % MP_LIMITED_ENTRIES + 1;
    left -= count;
    next = image_.add_limited(std::span{entries}.subspan(left, count), next);
  }
  return next;
}

result<void> image_limits::add_trees(mp_image_header& header) {
  std::vector<ip_prefix> prefixes;
  for (const auto& s : rules_.services)
    if (const auto* prefix = std::get_if<ip_prefix>(&s.address);
        prefix != nullptr && services_.contains(s.id))
      prefixes.push_back(*prefix);
  if (prefixes.empty())
    return {};
  prefix_tree tree{prefixes};
  std::vector<std::vector<const model::service*>> at(tree.size());
  for (const auto& s : rules_.services)
    if (const auto* prefix = std::get_if<ip_prefix>(&s.address);
        prefix != nullptr && services_.contains(s.id))
      at[tree.node_of(*prefix)].push_back(&s);
  std::vector<std::uint32_t> refs(tree.size());
  std::vector<std::size_t> steps(tree.size());
  for (std::uint32_t node = 1; node < tree.size(); ++node) {
    std::size_t own = 0;
    for (const auto* s : at[node])
      own += std::max<std::size_t>(s->ports.ranges().size(), 1);
    steps[node] = steps[tree.parent(node)] + own + own / MP_LIMITED_ENTRIES + 1;
    if (steps[node] > MP_LIMITED_STEPS)
      return fail(errc::too_large, "service " + std::to_string(at[node].front()->id.value)
                                     + ": more than " + std::to_string(MP_LIMITED_STEPS)
                                     + " services with limits and port ranges of theirs contain "
                                       "its address");
    refs[node] = add_list(at[node], refs[tree.parent(node)]);
  }
  const auto has = [&](ip_family family) {
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [&](const ip_prefix& p) { return p.base.family == family; });
  };
  if (has(ip_family::v4))
    header.limited4 = image_.add_tree4(tree.pieces(ip_family::v4, refs));
  if (has(ip_family::v6)) {
    auto tree6 = image_.add_tree6(tree.pieces(ip_family::v6, refs));
    header.limited6 = tree6.root;
    header.limited_jump = tree6.jump;
  }
  return {};
}

} // namespace marchproxy::policy

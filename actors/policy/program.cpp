// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/program.hpp"

#include "actors/crypto/digest.hpp"
#include "actors/policy/compiler.hpp"
#include "bpf/abi/lookup.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace marchproxy::policy {

namespace {

const mp_image_header& header_of(const std::byte* pages) noexcept {
  return *reinterpret_cast<const mp_image_header*>(pages);
}

mp_key6 key_of(const ip_address& address) noexcept {
  mp_key6 key{};
  std::memcpy(&key, address.bytes.data(), sizeof key);
  return key;
}

struct tree_pair {
  std::uint32_t root4;
  std::uint32_t root6;
  const mp_jump& jump6;
};

/// The value for @p address in the trees of its family.
std::uint32_t
lookup(const std::byte* pages, const tree_pair& trees, const ip_address& address) noexcept {
  if (address.family == ip_family::v4)
    return mp_lookup4(pages, trees.root4, address.v4_host_order());
  auto key = key_of(address);
  return mp_lookup6(pages, mp_start6(pages, trees.root6, &trees.jump6, &key), &key);
}

/// The values for a source and a destination of one family.
mp_ends lookup_ends(const std::byte* pages,
                    const ip_address& source,
                    const ip_address& destination) noexcept {
  const auto& header = header_of(pages);
  if (source.family == ip_family::v4)
    return mp_lookup4_ends(pages, {header.source4, header.target4}, source.v4_host_order(),
                           destination.v4_host_order());
  auto from = key_of(source);
  auto to = key_of(destination);
  mp_ends at{mp_start6(pages, header.source6, &header.source_jump, &from),
             mp_start6(pages, header.target6, &header.target_jump, &to)};
  return mp_lookup6_ends(pages, at, &from, &to);
}

} // namespace

verdict
verdict_of_rule(std::uint32_t flags, mapping_id mapping, marchproxy::revision revision) noexcept {
  verdict out;
  out.action = static_cast<model::mapping_action>(flags & MP_RULE_ACTION);
  out.auth_required = (flags & MP_RULE_AUTH) != 0;
  out.allow_private = (flags & MP_RULE_PRIVATE) != 0;
  out.observe = (flags & MP_RULE_OBSERVE) != 0;
  if ((flags & MP_RULE_DRAIN) != 0) {
    out.when_revoked = model::revocation::drain;
    out.drain_seconds = flags >> MP_RULE_DRAIN_SHIFT;
  } else if ((flags & MP_RULE_FINISH) != 0) {
    out.when_revoked = model::revocation::finish;
  }
  out.mapping = mapping;
  out.revision = revision;
  return out;
}

result<std::shared_ptr<const program>>
program::compile(std::shared_ptr<const model::ruleset> rules) {
  try {
    return compiler{std::move(rules)}.run();
  } catch (const std::bad_alloc&) {
    return fail(errc::too_large, "no memory to compile the policy");
  }
}

program::~program() = default;

std::span<const std::byte> program::image() const noexcept {
  return {pages_.data(), pages_.size()};
}

std::string program::hash_hex() const {
  return crypto::to_hex(crypto::view(hash_));
}

std::uint32_t program::source_class(const ip_address& source) const noexcept {
  const auto& header = header_of(pages_.data());
  return lookup(pages_.data(), {header.source4, header.source6, header.source_jump}, source);
}

std::uint32_t program::target_fan(const ip_address& destination) const noexcept {
  const auto& header = header_of(pages_.data());
  return lookup(pages_.data(), {header.target4, header.target6, header.target_jump}, destination);
}

std::uint32_t program::group(model::protocol protocol, std::uint16_t port) const noexcept {
  return mp_group(pages_.data(), header_of(pages_.data()).groups, static_cast<mp_u32>(protocol),
                  port);
}

std::uint32_t program::name_fan(std::string_view name) const noexcept {
  if (auto found = exact_.find(name); found != exact_.end())
    return found->second;
  for (auto dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    name.remove_prefix(dot + 1);
    if (auto found = wildcard_.find(name); found != wildcard_.end())
      return found->second;
  }
  return any_fan_;
}

const mp_rule* program::find_rule(const flow& f) const noexcept {
  mp_match match{};
  mp_ends ends{};
  if (f.destination && f.destination->family == f.source.family)
    ends = lookup_ends(pages_.data(), f.source, *f.destination);
  else
    ends = {source_class(f.source), f.destination ? target_fan(*f.destination) : 0U};
  match.source = ends.source;
  match.protocol = static_cast<mp_u32>(f.protocol);
  match.port = f.port;
  match.best = MP_NO_RANK;
  auto which = group(f.protocol, f.port);
  auto follow = [&](std::uint32_t fan) {
    if (mp_match_fan(pages_.data(), &match, fan, which) != 0)
      while (mp_match_list(pages_.data(), &match) != 0) {
      }
  };
  if (!f.name.empty()) {
    if (f.destination && special_range(*f.destination))
      match.require = MP_ATOM_PRIVATE_OK;
    follow(name_fan(f.name));
  }
  follow(ends.target);

  return match.best == MP_NO_RANK ? nullptr : mp_matched_rule(pages_.data(), &match);
}

verdict program::decide(const flow& f) const noexcept {
  const auto* rule = find_rule(f);
  if (rule == nullptr)
    return verdict_of_rule(0, {}, revision());
  auto out = verdict_of_rule(rule->flags, mapping_id{rule->mapping}, revision());
  // As mp_flags_for in the kernel.
  if (out.observe && !out.allow_private && f.destination && is_reserved(*f.destination))
    out.observe = false;
  return out;
}

program::limits_found program::limits_of(const flow& f) const noexcept {
  MP_INVARIANT(f.destination);
  const auto* pages = pages_.data();
  const auto& header = header_of(pages);
  const auto* rule = find_rule(f);
  mp_limited_search search{};
  search.protocol = static_cast<mp_u32>(f.protocol);
  search.port = f.port;
  const auto trees = f.destination->family == ip_family::v4 ? header.limited4 : header.limited6;
  if (trees != 0)
    search.list =
      lookup(pages, {header.limited4, header.limited6, header.limited_jump}, *f.destination);
  while (mp_search_limited(pages, &search) != 0) {
  }
  return {rule != nullptr ? mp_limits_at(pages, rule->limits) : nullptr,
          mp_limits_at(pages, search.found)};
}

std::vector<service_id> program::sources_at(const ip_address& source) const {
  std::vector<const model::service*> found;
  for (const auto& s : rules_->services) {
    const auto* prefix = std::get_if<ip_prefix>(&s.address);
    if (s.active && prefix != nullptr && prefix->contains(source))
      found.push_back(&s);
  }
  std::stable_sort(
    found.begin(), found.end(), [](const model::service* a, const model::service* b) {
      return std::get<ip_prefix>(a->address).length > std::get<ip_prefix>(b->address).length;
    });
  std::vector<service_id> out;
  out.reserve(found.size());
  for (const auto* s : found)
    out.push_back(s->id);
  return out;
}

} // namespace marchproxy::policy

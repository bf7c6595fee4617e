// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/candidates.hpp"
#include "actors/policy/program.hpp"

#include <optional>

namespace marchproxy::policy {

namespace {

bool below(std::string_view name, const model::dns_name& wanted) noexcept {
  if (!wanted.wildcard)
    return name == wanted.name;
  return name.size() > wanted.name.size() + 1 && name.ends_with(wanted.name)
         && name[name.size() - wanted.name.size() - 1] == '.';
}

/// True when @p where says outright that it means the special range that @p address lies in.
bool names_special_range(const model::service_address* where, const ip_address& address) noexcept {
  const auto* prefix = where != nullptr ? std::get_if<ip_prefix>(where) : nullptr;
  if (prefix == nullptr)
    return false;
  for (const auto& special : special_prefixes())
    if (special.prefix.contains(address))
      return special.prefix.contains(*prefix);
  return true;
}

bool destination_matches(const model::service_address* where, const flow& f) noexcept {
  if (where == nullptr)
    return true;
  if (const auto* prefix = std::get_if<ip_prefix>(where))
    return f.destination && prefix->contains(*f.destination);
  return !f.name.empty() && below(f.name, std::get<model::dns_name>(*where));
}

/// POL-6: a name or `all` that leads into a special range needs a mapping that says so; a deny
/// always holds.
bool guarded(const model::mapping& m, const model::service_address* where, const flow& f) noexcept {
  if (m.action == model::mapping_action::deny || m.allow_private || !f.destination
      || !special_range(*f.destination))
    return false;
  return !f.name.empty() || !names_special_range(where, *f.destination);
}

/// Whether what the policy refuses @p f is let through (POL-8): not to the node itself, its link,
/// or nowhere, unless @p decides may reach special ranges.
/// @param decides  null: none
bool observed(const model::ruleset& rules, const model::mapping* decides, const flow& f) noexcept {
  if (!rules.observe && (decides == nullptr || !decides->observe))
    return false;
  return (decides != nullptr && decides->allow_private) || !f.destination
         || !is_reserved(*f.destination);
}

} // namespace

verdict reference_decide(const model::ruleset& rules, const flow& f) {
  std::optional<rank_key> best;
  const model::mapping* decides = nullptr;
  auto consider = [&](const model::mapping& m, std::uint8_t source, const model::service* to) {
    const auto* where = to != nullptr ? &to->address : nullptr;
    if (!destination_matches(where, f) || guarded(m, where, f))
      return;
    auto match = effective(m, to);
    if (!match.matches(f.protocol, f.port))
      return;
    auto key = order_of(m, source, specificity(where), match);
    if (!best || key < *best) {
      best = key;
      decides = &m;
    }
  };
  for_each_candidate(rules, f.source, consider);
  verdict out;
  out.revision = rules.revision;
  out.observe = observed(rules, decides, f);
  if (decides == nullptr)
    return out;
  out.action = decides->action;
  out.auth_required = decides->auth_required && out.allowed();
  out.allow_private = decides->allow_private;
  if (out.allowed())
    out.when_revoked = decides->when_revoked;
  if (out.when_revoked == model::revocation::drain)
    out.drain_seconds = decides->drain_seconds;
  out.mapping = decides->id;
  return out;
}

} // namespace marchproxy::policy

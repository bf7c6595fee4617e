// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/candidates.hpp"
#include "actors/policy/program.hpp"

#include <algorithm>
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

/// Whether an observed cluster lets through what no mapping allows (POL-8): not where it would lead
/// to the node itself, its link, or nowhere.
bool observes_default(const model::ruleset& rules, const flow& f) noexcept {
  const auto& all = special_prefixes();
  return rules.observe
         && (!f.destination || std::none_of(all.begin(), all.end(), [&](const special_prefix& s) {
              return !s.site && s.prefix.contains(*f.destination);
            }));
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
  if (decides == nullptr) {
    out.observe = observes_default(rules, f);
    return out;
  }
  out.action = decides->action;
  out.auth_required = decides->auth_required && out.allowed();
  out.allow_private = decides->allow_private;
  out.mapping = decides->id;
  out.observe = decides->observe || rules.observe;
  return out;
}

} // namespace marchproxy::policy

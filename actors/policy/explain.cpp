// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/explain.hpp"

#include "actors/policy/candidates.hpp"
#include "actors/policy/limited_service.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace marchproxy::policy {

namespace {

using misses = std::vector<std::string>;

std::vector<const model::service*> every_side(const model::ruleset& rules,
                                              const std::vector<model::selector>& selectors) {
  std::vector<const model::service*> out;
  for (const auto& which : selectors) {
    auto some = members_or_all(rules, which);
    out.insert(out.end(), some.begin(), some.end());
  }
  return out;
}

bool address_matches(const model::service* s, const std::optional<ip_address>& address) {
  if (s == nullptr)
    return true;
  const auto* prefix = std::get_if<ip_prefix>(&s->address);
  return prefix != nullptr && address && prefix->contains(*address);
}

bool name_matches(const model::service* s, std::string_view name) {
  if (s == nullptr || name.empty())
    return s == nullptr;
  const auto* wanted = std::get_if<model::dns_name>(&s->address);
  if (wanted == nullptr)
    return false;
  if (!wanted->wildcard)
    return wanted->name == name;
  return name.size() > wanted->name.size() + 1 && name.ends_with("." + wanted->name);
}

/// What would have to be different for @p m to allow @p f, at the best of its destinations.
misses misses_of(const model::ruleset& rules, const model::mapping& m, const flow& f) {
  misses base;
  if (!m.active)
    base.emplace_back("inactive");
  auto from = every_side(rules, m.sources);
  if (std::none_of(from.begin(), from.end(),
                   [&](const model::service* s) { return address_matches(s, f.source); }))
    base.emplace_back("source");
  std::optional<misses> best;
  for (const auto* to : every_side(rules, m.destinations)) {
    auto here = base;
    auto matches = address_matches(to, f.destination) || name_matches(to, f.name);
    if (!matches)
      here.emplace_back("destination");
    auto left = effective(m, to);
    if ((left.protocols & static_cast<model::protocol_set>(f.protocol)) == 0)
      here.emplace_back("protocol");
    else if (!left.matches(f.protocol, f.port))
      here.emplace_back("port");
    if (here.empty())
      here.emplace_back(
        "private"); // matches in every way, so only the guard or a stronger deny stops it
    if (!best || here.size() < best->size())
      best = here;
  }
  if (!best) {
    base.emplace_back("destination");
    best = base;
  }
  return *best;
}

std::string reason_of(const explanation& e) {
  switch (e.outcome.action) {
  case model::mapping_action::allow:
    return e.outcome.auth_required ? "auth_required" : "mapping_allow";
  case model::mapping_action::bypass:
    return e.outcome.auth_required ? "auth_required" : "mapping_bypass";
  case model::mapping_action::deny:
    break;
  }
  if (e.outcome.mapping)
    return "mapping_deny";
  return e.nearest_misses == misses{"private"} ? "private_destination" : "implicit_deny";
}

void find_nearest(const model::ruleset& rules, const flow& f, explanation& e) {
  for (const auto& m : rules.mappings) {
    if (m.action == model::mapping_action::deny || m.id == e.outcome.mapping)
      continue;
    auto missing = misses_of(rules, m, f);
    if (!e.nearest_allow || missing.size() < e.nearest_misses.size()) {
      e.nearest_allow = m.id;
      e.nearest_misses = missing;
    }
  }
  // A mapping that matches in every way but loses to the deciding deny is outranked, not guarded.
  if (e.outcome.mapping && e.nearest_misses == misses{"private"})
    e.nearest_misses = {"outranked"};
}

std::string describe_sources(const program& compiled, const flow& f) {
  std::string names;
  for (auto id : compiled.sources_at(f.source)) {
    const auto& all = compiled.rules().services;
    auto s =
      std::find_if(all.begin(), all.end(), [&](const model::service& x) { return x.id == id; });
    names += (names.empty() ? "" : ", ") + s->name;
  }
  return to_string(f.source) + " is " + (names.empty() ? "no known service" : names)
         + "; source class " + std::to_string(compiled.source_class(f.source));
}

/// What an allowed flow is held to (POL-7).
void find_limits(const model::ruleset& rules, const flow& f, explanation& e) {
  const auto decides =
    std::find_if(rules.mappings.begin(), rules.mappings.end(),
                 [&](const model::mapping& m) { return m.id == e.outcome.mapping; });
  if (decides != rules.mappings.end() && decides->limits)
    e.limited_mapping = &*decides;
  e.limited_service = limited_service(rules, f);
  std::string told;
  if (e.limited_mapping != nullptr)
    told = "mapping " + std::to_string(decides->id.value) + ": " + to_string(*decides->limits);
  if (const auto* s = e.limited_service)
    told +=
      (told.empty() ? "" : "; ") + std::string{"service "} + s->name + ": " + to_string(*s->limits);
  if (!told.empty())
    e.steps.push_back({"limits", told});
}

std::string describe_observation(const model::ruleset& rules, const explanation& e) {
  auto who = rules.observe ? std::string{"the cluster"}
                           : "mapping " + std::to_string(e.outcome.mapping.value);
  return (e.outcome.allowed() ? "without credentials it would be refused, and passes: "
                              : "it would be refused, and passes: ")
         + who + " is only observed";
}

nlohmann::json limits_json(const explanation& e) {
  nlohmann::json of_mapping = nullptr;
  nlohmann::json of_service = nullptr;
  if (e.limited_mapping != nullptr)
    of_mapping = model::to_json(*e.limited_mapping->limits, "mapping");
  if (e.limited_service != nullptr) {
    of_service = model::to_json(*e.limited_service->limits, "service");
    of_service["id"] = e.limited_service->id.value;
  }
  return {{"mapping", of_mapping}, {"service", of_service}};
}

} // namespace

result<explanation> explain(const program& compiled, const flow& f) {
  explanation e;
  e.outcome = compiled.decide(f);
  auto reference = reference_decide(compiled.rules(), f);
  if (e.outcome != reference)
    return fail(errc::internal, "program and reference differ: mapping "
                                  + std::to_string(e.outcome.mapping.value) + " against "
                                  + std::to_string(reference.mapping.value));
  e.program_hash = compiled.hash_hex();
  e.source_class = compiled.source_class(f.source);
  e.group = compiled.group(f.protocol, f.port);
  e.steps.push_back({"source", describe_sources(compiled, f)});
  if (!f.name.empty()) {
    e.fan = compiled.name_fan(f.name);
    e.steps.push_back({"name", std::string{f.name} + " leads to fan " + std::to_string(e.fan)});
  }
  if (f.destination) {
    e.fan = compiled.target_fan(*f.destination);
    e.steps.push_back(
      {"destination", to_string(*f.destination) + " leads to fan " + std::to_string(e.fan)});
    if (auto range = special_range(*f.destination))
      e.steps.push_back(
        {"private-guard", to_string(*f.destination) + " is " + std::string{*range}
                            + ": only a mapping that names it or allows private ranges applies"});
  }
  if (e.outcome.mapping)
    e.steps.push_back({"match", "mapping " + std::to_string(e.outcome.mapping.value)
                                  + " has the best rank of all that match "
                                  + model::to_string(static_cast<model::protocol_set>(f.protocol))
                                  + " port " + std::to_string(f.port)});
  else
    e.steps.push_back({"match", "no mapping matches: deny by default"});
  if (!e.outcome.allowed())
    find_nearest(compiled.rules(), f, e);
  else
    find_limits(compiled.rules(), f, e);
  e.reason = reason_of(e);
  e.steps.push_back({"verdict", std::string{model::to_string(e.outcome.action)} + " (" + e.reason
                                  + ") in revision " + std::to_string(e.outcome.revision.value)});
  e.observed = e.outcome.observe && (!e.outcome.allowed() || e.outcome.auth_required);
  if (e.observed)
    e.steps.push_back({"observe", describe_observation(compiled.rules(), e)});
  return e;
}

nlohmann::json to_json(const explanation& e) {
  nlohmann::json steps = nlohmann::json::array();
  for (const auto& s : e.steps)
    steps.push_back({{"name", s.name}, {"detail", s.detail}});
  nlohmann::json mapping = nullptr;
  if (e.outcome.mapping)
    mapping = e.outcome.mapping.value;
  nlohmann::json nearest = nullptr;
  if (e.nearest_allow)
    nearest = {{"mapping", e.nearest_allow->value}, {"misses", e.nearest_misses}};
  return {
    {"verdict", model::to_string(e.outcome.action)},
    {"reason", e.reason},
    {"observed", e.observed},
    {"auth_required", e.outcome.auth_required},
    {"mapping", mapping},
    {"revision", e.outcome.revision.value},
    {"steps", steps},
    {"nearest_allow", nearest},
    {"limits", limits_json(e)},
    {"map_entry",
     {{"map", "images"}, {"source_class", e.source_class}, {"fan", e.fan}, {"group", e.group}}},
    {"program_hash", e.program_hash}};
}

} // namespace marchproxy::policy

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/kernel_view.hpp"

#include "nodes/egress/limited_metrics.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::egress {

namespace {

using nlohmann::json;

std::uint64_t dropped(const mp_totals& t) {
  std::uint64_t out = 0;
  for (std::size_t i = MP_LAST_PASSING + 1; i <= MP_LAST_OUTCOME; ++i)
    out += t.value[i];
  return out;
}

/// What they would refuse and only observe included.
std::uint64_t forwarded(const mp_totals& t) {
  return t.value[MP_TOTAL_allowed] + t.value[MP_TOTAL_observed];
}

void add_events(const char* name, const char* help, const mp_totals& t, serving::metric_list& out) {
  for (const auto& [event, count] : tier_ebpf::by_name(t))
    out.counter(name, help, count, {{"event", event}});
}

void add_metrics(const ebpf_tier& tier, serving::metric_list& out) {
  auto tc = tier.totals();
  auto xdp = tier.xdp_totals();
  // What the XDP program lets pass, the tc program sees too.
  auto at_driver = forwarded(xdp) + dropped(xdp);
  out.counter("marchproxy_ebpf_total_packets", "Packets that the packet programs saw.",
              tc.value[MP_TOTAL_packets] + at_driver);
  out.counter("marchproxy_ebpf_forwarded_packets",
              "Packets they let pass on to routing, or forwarded at the driver.",
              forwarded(tc) + forwarded(xdp));
  out.counter("marchproxy_ebpf_dropped_packets", "Packets they dropped.",
              dropped(tc) + dropped(xdp));
  out.counter("marchproxy_ebpf_userspace_fallback", "Packets they left to the node itself.",
              tc.value[MP_TOTAL_passed_local]);
  out.counter("marchproxy_ebpf_map_sync_errors", "Revisions that could not be written to the maps.",
              tier.sync_errors());
  add_limited("marchproxy_ebpf", tier.limited(), out);
  add_events("marchproxy_ebpf_events_total", "The tc program's counters by name.", tc, out);
  out.gauge("marchproxy_xdp_enabled", "1 while the XDP program judges what arrives somewhere.",
            tier.at_driver() ? 1 : 0);
  if (tier.at_driver())
    add_events("marchproxy_xdp_events_total", "The XDP program's counters by name.", xdp, out);
}

void add_explanation(const ebpf_tier& tier,
                     const api::explain_question& asked,
                     const policy::explanation& told,
                     json& out) {
  if (!asked.name.empty() || !asked.flow.destination)
    return;
  auto trace = tier.explain(asked.flow);
  if (trace)
    out["kernel"] = {
      {"hook", "tc ingress"},
      {"map_id", trace->image_map},
      {"key", trace->page},
      {"offset", trace->offset},
      {"entry", trace->entry},
      {"mapping", trace->verdict.mapping ? json(trace->verdict.mapping.value) : json(nullptr)},
      {"agrees", trace->verdict == told.outcome}};
  if (auto at_driver = tier.at_driver(asked.flow); trace && at_driver) {
    out["kernel"]["hook"] = "xdp, then tc ingress";
    out["kernel"]["xdp_agrees"] = *at_driver == told.outcome;
  }
}

json tiers_of(const ebpf_tier& tier) {
  json interfaces = json::array();
  for (const auto& h : tier.hooks())
    interfaces.push_back({{"name", h.name},
                          {"kind", h.kind},
                          {"hook", h.hook},
                          {"mode", h.mode},
                          {"not_higher", h.why_not}});
  json counters = {{"tc", tier_ebpf::by_name(tier.totals())}};
  if (tier.at_driver())
    counters["xdp"] = tier_ebpf::by_name(tier.xdp_totals());
  return {{"interfaces", interfaces}, {"counters", counters}};
}

} // namespace

serving::admin_extras kernel_view(const ebpf_tier* tier) {
  serving::admin_extras out;
  out.metrics = [tier](serving::metric_list& metrics) {
    metrics.gauge("marchproxy_ebpf_enabled", "1 while the packet programs judge routed packets.",
                  tier != nullptr ? 1 : 0);
    if (tier != nullptr)
      add_metrics(*tier, metrics);
  };
  if (tier == nullptr)
    return out;
  out.interfaces = [tier] {
    std::vector<std::string> names;
    for (const auto& h : tier->hooks())
      names.push_back(h.name);
    return names;
  };
  out.tiers = [tier](json& answer) { answer.update(tiers_of(*tier)); };
  out.explain = [tier](const api::explain_question& asked, const policy::explanation& told,
                       json& answer) { add_explanation(*tier, asked, told, answer); };
  return out;
}

} // namespace marchproxy::egress

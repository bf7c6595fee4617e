// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/kernel_view.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::egress {

namespace {

using nlohmann::json;

void add_metrics(const ebpf_tier& tier, serving::metric_list& out) {
  auto counters = tier.counters();
  auto value = [&](const char* name) {
    auto found = counters.find(name);
    return found == counters.end() ? 0 : found->second;
  };
  out.counter("marchproxy_ebpf_total_packets", "Packets that the tc program saw.",
              value("ebpf_packets"));
  out.counter("marchproxy_ebpf_forwarded_packets", "Packets it let pass on to routing.",
              value("ebpf_allowed"));
  std::uint64_t dropped = 0;
  for (const auto* name :
       {"ebpf_denied_implicit", "ebpf_denied_mapping", "ebpf_denied_auth", "ebpf_malformed",
        "ebpf_fragments", "ebpf_unsupported_protocol", "ebpf_no_connection", "ebpf_no_image"})
    dropped += value(name);
  out.counter("marchproxy_ebpf_dropped_packets", "Packets it dropped.", dropped);
  out.counter("marchproxy_ebpf_userspace_fallback", "Packets it left to the node itself.",
              value("ebpf_passed_local"));
  out.counter("marchproxy_ebpf_map_sync_errors", "Revisions that could not be written to the maps.",
              tier.sync_errors());
  for (const auto& [name, count] : counters)
    out.counter("marchproxy_ebpf_events_total", "The tc program's counters by name.", count,
                {{"event", name.substr(5)}});
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
}

} // namespace

serving::admin_extras kernel_view(const ebpf_tier* tier) {
  serving::admin_extras out;
  out.metrics = [tier](serving::metric_list& metrics) {
    metrics.gauge("marchproxy_ebpf_enabled", "1 while the tc program judges routed packets.",
                  tier != nullptr ? 1 : 0);
    if (tier != nullptr)
      add_metrics(*tier, metrics);
  };
  if (tier == nullptr)
    return out;
  out.interfaces = [tier] { return tier->interfaces(); };
  out.explain = [tier](const api::explain_question& asked, const policy::explanation& told,
                       json& answer) { add_explanation(*tier, asked, told, answer); };
  return out;
}

} // namespace marchproxy::egress

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/admin.hpp"

#include "actors/base/version.hpp"
#include "actors/policy/explain.hpp"
#include "nodes/api/explain_question.hpp"

#include <caf/scoped_actor.hpp>

#include <nlohmann/json.hpp>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace marchproxy::egress {

namespace {

using nlohmann::json;

http::response answer(std::uint16_t status, const json& body) {
  http::response out;
  out.status = status;
  out.headers.emplace_back("content-type", "application/json");
  out.body = body.dump() + "\n";
  return out;
}

json error_body(const error& e) {
  json details = json::array();
  for (const auto& f : e.fields)
    details.push_back({{"field", f.field}, {"message", f.message}});
  return {{"error", {{"code", to_string(e.code)}, {"message", e.message}, {"details", details}}}};
}

proxy::node_state state_of(const admin_view& view) {
  proxy::node_state out;
  out.bus_reason = "the node's actor does not answer";
  caf::scoped_actor self{view.system};
  self->request(view.node, std::chrono::seconds{2}, proxy::get_node_state{})
    .receive([&](proxy::node_state& s) { out = std::move(s); }, [](const caf::error&) {});
  return out;
}

http::response health(const admin_view& view) {
  auto s = state_of(view);
  json declined = json::array();
  for (const auto& d : view.tiers.not_chosen)
    declined.push_back({{"name", d.name}, {"reason", d.reason}});
  json interfaces = json::array();
  if (view.ebpf != nullptr)
    for (const auto& name : view.ebpf->interfaces())
      interfaces.push_back(name);
  auto current = view.engine->current();
  auto serving = current != nullptr;
  return answer(
    serving ? 200 : 503,
    {{"status", serving ? "ok" : "failed"},
     {"version", version()},
     {"cluster", s.cluster},
     {"key", s.key},
     {"revision", serving ? json(current->revision().value) : json(nullptr)},
     {"program_hash", serving ? json(current->hash_hex()) : json(nullptr)},
     {"tier", {{"chosen", view.tiers.chosen}, {"declined", declined}, {"interfaces", interfaces}}},
     {"last_refusal", s.last_refusal},
     {"dependencies",
      {{"bus", {{"status", s.bus_up ? "ok" : "failed"}, {"detail", s.bus_reason}}},
       {"policy",
        {{"status", serving ? "ok" : "failed"},
         {"detail", serving ? "" : "no revision is in force; everything is refused"}}}}}});
}

/// Families of one value each, in the order they are added.
class metric_list {
public:
  void add(const char* name,
           const char* help,
           prometheus::MetricType type,
           double value,
           std::vector<prometheus::ClientMetric::Label> labels = {}) {
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    (type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    if (families_.empty() || families_.back().name != name) {
      families_.emplace_back();
      families_.back().name = name;
      families_.back().help = help;
      families_.back().type = type;
    }
    families_.back().metric.push_back(std::move(metric));
  }
  void counter(const char* name,
               const char* help,
               std::uint64_t value,
               std::vector<prometheus::ClientMetric::Label> labels = {}) {
    add(name, help, prometheus::MetricType::Counter, static_cast<double>(value), std::move(labels));
  }
  void gauge(const char* name, const char* help, std::uint64_t value) {
    add(name, help, prometheus::MetricType::Gauge, static_cast<double>(value));
  }
  [[nodiscard]] std::string text() const {
    return prometheus::TextSerializer().Serialize(families_);
  }

private:
  std::vector<prometheus::MetricFamily> families_;
};

void relay_metrics(const relay::relay_totals& t, metric_list& out) {
  out.counter("marchproxy_tcp_connections_total", "Connections that the relay accepted.",
              t.connections);
  out.gauge("marchproxy_active_connections", "Connections open at the relay.", t.open);
  out.counter("marchproxy_bytes_transferred_total", "Bytes that the relay moved.", t.bytes_up,
              {{"direction", "up"}});
  out.counter("marchproxy_bytes_transferred_total", "Bytes that the relay moved.", t.bytes_down,
              {{"direction", "down"}});
  out.counter("marchproxy_udp_packets_total", "Datagrams that the relay moved.", t.udp_up,
              {{"direction", "up"}});
  out.counter("marchproxy_udp_packets_total", "Datagrams that the relay moved.", t.udp_down,
              {{"direction", "down"}});
  out.counter("marchproxy_udp_dropped_total",
              "Datagrams at the relay that were refused, malformed or of strangers.",
              t.udp_dropped);
  out.counter("marchproxy_proxy_protocol_errors_total",
              "Connections of load balancers that did not begin with a whole PROXY header.",
              t.bad_proxy_headers);
  out.counter("marchproxy_auth_successes_total", "Credentials that held.", t.auth_successes);
  out.counter("marchproxy_auth_failures_total", "Credentials that did not hold.", t.auth_failures);
  for (std::size_t i = 0; i < relay::reason_count; ++i)
    out.counter("marchproxy_flows_total", "Flows of the relay by reason.", t.reasons[i],
                {{"reason", std::string{to_string(static_cast<relay::reason>(i))}}});
  out.counter("marchproxy_upstream_failures_total", "Allowed flows whose upstream failed.",
              t.upstream_failures);
  out.counter("marchproxy_decision_records_lost_total", "Decision records lost to a slow reader.",
              t.records_lost);
  for (const auto& [mapping, count] : t.mappings) {
    auto id = std::to_string(mapping.value);
    out.counter("marchproxy_mapping_flows_total", "Flows of the relay by mapping.", count.allowed,
                {{"mapping", id}, {"verdict", "allow"}});
    out.counter("marchproxy_mapping_flows_total", "Flows of the relay by mapping.", count.denied,
                {{"mapping", id}, {"verdict", "deny"}});
  }
}

void ebpf_metrics(const ebpf_tier& tier, metric_list& out) {
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

http::response metrics(const admin_view& view) {
  metric_list out;
  out.add("marchproxy_version_info", "1, with the version as label.", prometheus::MetricType::Gauge,
          1, {{"version", std::string{version()}}, {"component", "egress"}});
  auto current = view.engine->current();
  out.gauge("marchproxy_revision", "Revision in force.", current ? current->revision().value : 0);
  relay_metrics(view.relay.totals(), out);
  if (view.decisions != nullptr)
    out.counter("marchproxy_decision_log_errors_total",
                "Decision lines that could not be written to the log.", view.decisions->errors());
  if (view.verdicts != nullptr) {
    out.counter("marchproxy_verdicts_published_total", "Verdicts told on the bus.",
                view.verdicts->published());
    out.counter("marchproxy_verdicts_lost_total",
                "Verdicts that the bus was too slow or too far away for.", view.verdicts->lost());
  }
  out.gauge("marchproxy_ebpf_enabled", "1 while the tc program judges routed packets.",
            view.ebpf != nullptr ? 1 : 0);
  if (view.ebpf != nullptr)
    ebpf_metrics(*view.ebpf, out);
  http::response answer;
  answer.headers.emplace_back("content-type", "text/plain; version=0.0.4; charset=utf-8");
  answer.body = out.text();
  return answer;
}

http::response explain(const admin_view& view, const http::request& request) {
  auto body = json::parse(request.body, nullptr, false);
  auto asked = api::read_explain_question(body);
  if (!asked)
    return answer(400, error_body(asked.error()));
  auto current = view.engine->current();
  if (!current)
    return answer(503, error_body({errc::unavailable, "no revision is in force", {}}));
  auto told = policy::explain(*current, asked->view());
  if (!told)
    return answer(500, error_body(told.error()));
  auto out = policy::to_json(*told);
  if (view.ebpf != nullptr && asked->name.empty() && asked->flow.destination) {
    auto trace = view.ebpf->explain(asked->flow);
    if (trace)
      out["kernel"] = {
        {"hook", "tc ingress"},
        {"map_id", trace->image_map},
        {"key", trace->page},
        {"offset", trace->offset},
        {"entry", trace->entry},
        {"mapping", trace->verdict.mapping ? json(trace->verdict.mapping.value) : json(nullptr)},
        {"agrees", trace->verdict == told->outcome}};
  }
  return answer(200, out);
}

} // namespace

http::response answer_admin(const admin_view& view, const http::request& request) {
  if (request.path == "/healthz" && request.method == "GET")
    return health(view);
  if (request.path == "/metrics" && request.method == "GET")
    return metrics(view);
  if (request.path == "/explain" && request.method == "POST")
    return explain(view, request);
  return answer(
    404,
    error_body({errc::not_found, "there are GET /healthz, GET /metrics and POST /explain", {}}));
}

} // namespace marchproxy::egress

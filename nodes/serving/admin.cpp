// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/admin.hpp"

#include "actors/base/version.hpp"
#include "actors/policy/explain.hpp"
#include "nodes/api/explain_question.hpp"

#include <caf/scoped_actor.hpp>

#include <nlohmann/json.hpp>

namespace marchproxy::serving {

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

json declined_of(const admin_view& view) {
  json out = json::array();
  for (const auto& d : view.tiers.not_chosen)
    out.push_back({{"name", d.name}, {"reason", d.reason}});
  return out;
}

http::response health(const admin_view& view) {
  auto s = state_of(view);
  json interfaces = json::array();
  if (view.extras.interfaces)
    for (const auto& name : view.extras.interfaces())
      interfaces.push_back(name);
  auto current = view.engine->current();
  auto serving = current != nullptr;
  const auto by_ring = view.relay.waits_by() == net::loop_backend::io_uring;
  json no_ring = json::array();
  if (!view.relay.no_ring_because().empty())
    no_ring.push_back({{"name", "io_uring"}, {"reason", view.relay.no_ring_because()}});
  json out = {
    {"status", serving ? "ok" : "failed"},
    {"version", version()},
    {"cluster", s.cluster},
    {"key", s.key},
    {"revision", serving ? json(current->revision().value) : json(nullptr)},
    {"observe", serving && current->rules().observe},
    {"program_hash", serving ? json(current->hash_hex()) : json(nullptr)},
    {"tier",
     {{"chosen", view.tiers.chosen}, {"declined", declined_of(view)}, {"interfaces", interfaces}}},
    {"io", {{"chosen", by_ring ? "io_uring" : "epoll"}, {"declined", no_ring}}},
    {"last_refusal", s.last_refusal},
    {"dependencies",
     {{"bus", {{"status", s.bus_up ? "ok" : "failed"}, {"detail", s.bus_reason}}},
      {"policy",
       {{"status", serving ? "ok" : "failed"},
        {"detail", serving ? "" : "no revision is in force; everything is refused"}}}}}};
  view.may.add_health(out);
  if (view.extras.health)
    view.extras.health(out);
  return answer(serving ? 200 : 503, out);
}

http::response metrics(const admin_view& view) {
  metric_list out;
  out.add("marchproxy_version_info", "1, with the version as label.", prometheus::MetricType::Gauge,
          1, {{"version", std::string{version()}}, {"component", view.component}});
  auto current = view.engine->current();
  out.gauge("marchproxy_revision", "Revision in force.", current ? current->revision().value : 0);
  out.gauge("marchproxy_observe", "1 while the cluster is observed, so that nothing is enforced.",
            current && current->rules().observe ? 1 : 0);
  add_process_metrics(out);
  view.may.add_metrics(out);
  add_relay_metrics(view.relay.totals(), out);
  const auto limits = view.sockets.limits();
  add_limit_metrics(limits.get(), out);
  if (view.records.log() != nullptr)
    out.counter("marchproxy_decision_log_errors_total",
                "Decision lines that could not be written to the log.",
                view.records.log()->errors());
  if (view.records.verdicts()) {
    out.counter("marchproxy_verdicts_published_total", "Verdicts told on the bus.",
                view.records.verdicts()->published());
    out.counter("marchproxy_verdicts_lost_total",
                "Verdicts that the bus was too slow or too far away for.",
                view.records.verdicts()->lost());
  }
  if (view.extras.metrics)
    view.extras.metrics(out);
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
  if (view.extras.explain)
    view.extras.explain(*asked, *told, out);
  return answer(200, out);
}

http::response tiers(const admin_view& view) {
  json out = {{"chosen", view.tiers.chosen},
              {"declined", declined_of(view)},
              {"interfaces", json::array()},
              {"counters", json::object()}};
  if (view.extras.tiers)
    view.extras.tiers(out);
  return answer(200, out);
}

} // namespace

http::response answer_admin(const admin_view& view, const http::request& request) {
  if (request.path == "/healthz" && request.method == "GET")
    return health(view);
  if (request.path == "/metrics" && request.method == "GET")
    return metrics(view);
  if (request.path == "/tiers" && request.method == "GET")
    return tiers(view);
  if (request.path == "/explain" && request.method == "POST")
    return explain(view, request);
  return answer(
    404,
    error_body(
      {errc::not_found, "there are GET /healthz, GET /metrics, GET /tiers and POST /explain", {}}));
}

} // namespace marchproxy::serving

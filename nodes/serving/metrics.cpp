// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/metrics.hpp"

#include "nodes/program/process.hpp"

#include <prometheus/text_serializer.h>

#include <utility>

namespace marchproxy::serving {

void metric_list::add(const char* name,
                      const char* help,
                      prometheus::MetricType type,
                      double value,
                      std::vector<prometheus::ClientMetric::Label> labels) {
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

std::string metric_list::text() const {
  return prometheus::TextSerializer().Serialize(families_);
}

void add_process_metrics(metric_list& out) {
  auto used = program::usage_of_process();
  out.gauge("process_open_fds", "Descriptors that are open.", used.open_descriptors);
  out.gauge("process_max_fds", "Descriptors that may be open.", used.most_descriptors);
  out.gauge("process_resident_memory_bytes", "Memory that is resident.", used.resident_bytes);
  out.add("process_cpu_seconds_total", "User and system time.", prometheus::MetricType::Counter,
          used.cpu_seconds);
}

void add_relay_metrics(const relay::relay_totals& t, metric_list& out) {
  out.counter("marchproxy_tcp_connections_total", "Connections that the relay accepted.",
              t.connections);
  out.gauge("marchproxy_active_connections", "Connections open at the relay.", t.open);
  out.gauge("marchproxy_resting_connections", "Of these, HTTP clients between requests.",
            t.resting);
  out.counter("marchproxy_bytes_transferred_total", "Bytes that the relay moved.", t.bytes_up,
              {{"direction", "up"}});
  out.counter("marchproxy_bytes_transferred_total", "Bytes that the relay moved.", t.bytes_down,
              {{"direction", "down"}});
  out.counter("marchproxy_udp_packets_total", "Datagrams that the relay moved.", t.udp_up,
              {{"direction", "up"}});
  out.counter("marchproxy_udp_packets_total", "Datagrams that the relay moved.", t.udp_down,
              {{"direction", "down"}});
  out.gauge("marchproxy_udp_sessions",
            "Sessions of services' UDP listeners and the transparent entry.", t.udp_sessions);
  out.counter("marchproxy_udp_sessions_evicted_total",
              "Of these, ended early to make room for others.", t.udp_evicted);
  out.counter("marchproxy_udp_dropped_total",
              "Datagrams at the relay that were refused, malformed, of strangers, or too many.",
              t.udp_dropped);
  out.counter("marchproxy_proxy_protocol_errors_total",
              "Connections of load balancers that did not begin with a whole PROXY header.",
              t.bad_proxy_headers);
  for (const auto& [outcome, count] :
       {std::pair{"full", t.tls_full}, std::pair{"resumed", t.tls_resumed},
        std::pair{"failed", t.tls_failed}})
    out.counter("marchproxy_tls_handshakes_total", "TLS handshakes with clients.", count,
                {{"outcome", outcome}});
  for (const auto& [outcome, count] :
       {std::pair{"made", t.retries}, std::pair{"refused", t.retries_refused}})
    out.counter("marchproxy_ingress_retries_total",
                "Other backends that flows went on to after a failure.", count,
                {{"outcome", outcome}});
  out.counter("marchproxy_auth_successes_total", "Credentials that held.", t.auth_successes);
  out.counter("marchproxy_auth_failures_total", "Credentials that did not hold.", t.auth_failures);
  for (std::size_t i = 0; i < relay::reason_count; ++i)
    out.counter("marchproxy_flows_total", "Flows of the relay by reason.", t.reasons[i],
                {{"reason", std::string{to_string(static_cast<relay::reason>(i))}}});
  for (std::size_t i = 0; i < relay::reason_count; ++i)
    if (t.observed[i] > 0)
      out.counter("marchproxy_observed_total",
                  "Flows of the relay that were let through only because what refuses them is "
                  "observed, by what for.",
                  t.observed[i],
                  {{"reason", std::string{to_string(static_cast<relay::reason>(i))}}});
  out.counter("marchproxy_upstream_failures_total", "Allowed flows whose upstream failed.",
              t.upstream_failures);
  const auto& names = t.lookups;
  for (const auto& [by, count] :
       {std::pair{"hosts", names.hosts}, std::pair{"lease", names.leased},
        std::pair{"joined", names.joined}, std::pair{"asked", names.asked}})
    out.counter("marchproxy_dns_lookups_total",
                "Names looked up, by what answered: the hosts file, a lease, a question under way, "
                "a question of its own.",
                count, {{"by", by}});
  out.counter("marchproxy_dns_stale_total",
              "Lookups answered by a lease past its TTL, since no name server answered.",
              names.stale);
  out.counter("marchproxy_dns_failures_total", "Questions that no name server answered.",
              names.failures);
  out.gauge("marchproxy_dns_leases", "Names whose addresses are known now.", names.leases);
  out.counter("marchproxy_dns_evictions_total",
              "Names that were forgotten for others, since only so many are kept.", names.evicted);
  out.counter("marchproxy_decision_records_lost_total", "Decision records lost to a slow reader.",
              t.records_lost);
  for (const auto& [mapping, count] : t.mappings) {
    auto id = std::to_string(mapping.value);
    out.counter("marchproxy_mapping_flows_total", "Flows of the relay by mapping.", count.allowed,
                {{"mapping", id}, {"verdict", "allow"}});
    out.counter("marchproxy_mapping_flows_total", "Flows of the relay by mapping.", count.denied,
                {{"mapping", id}, {"verdict", "deny"}});
    out.counter("marchproxy_mapping_flows_total", "Flows of the relay by mapping.", count.observed,
                {{"mapping", id}, {"verdict", "shadow"}});
  }
  for (const auto& [which, count] : t.limited)
    out.counter("marchproxy_limited_total",
                "Flows and datagrams that a limit refused, by whose it is and which.", count,
                {{"of", std::string{to_string(which.first.of)}},
                 {"id", std::to_string(which.first.id)},
                 {"limit", std::string{to_string(which.second)}}});
}

void add_limit_metrics(const limiting::limit_table* limits, metric_list& out) {
  if (limits == nullptr)
    return;
  for (const auto& meter : limits->all())
    if (meter->limits().per == model::limit_scope::source)
      out.counter(
        "marchproxy_limit_crowded_total",
        "Flows whose source shared a limit with others, since there were too many.",
        meter->crowded(),
        {{"of", std::string{to_string(meter->of().of)}}, {"id", std::to_string(meter->of().id)}});
}

} // namespace marchproxy::serving

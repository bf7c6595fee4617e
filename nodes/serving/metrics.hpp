// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/limiting/limit_table.hpp"
#include "nodes/relay/counters.hpp"

#include <prometheus/metric_family.h>

#include <cstdint>
#include <string>
#include <vector>

namespace marchproxy::serving {

/// Families of one value each, in the order they are added.
class metric_list {
public:
  void add(const char* name,
           const char* help,
           prometheus::MetricType type,
           double value,
           std::vector<prometheus::ClientMetric::Label> labels = {});
  void counter(const char* name,
               const char* help,
               std::uint64_t value,
               std::vector<prometheus::ClientMetric::Label> labels = {}) {
    add(name, help, prometheus::MetricType::Counter, static_cast<double>(value), std::move(labels));
  }
  void gauge(const char* name,
             const char* help,
             std::uint64_t value,
             std::vector<prometheus::ClientMetric::Label> labels = {}) {
    add(name, help, prometheus::MetricType::Gauge, static_cast<double>(value), std::move(labels));
  }
  /// In Prometheus' text format.
  [[nodiscard]] std::string text() const;

private:
  std::vector<prometheus::MetricFamily> families_;
};

/// What the process uses, under Prometheus' usual names.
void add_process_metrics(metric_list& out);
void add_relay_metrics(const relay::relay_totals& t, metric_list& out);
/// @param limits  in force; may be null
void add_limit_metrics(const limiting::limit_table* limits, metric_list& out);

} // namespace marchproxy::serving

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/ingress/tls_view.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::ingress {

using nlohmann::json;

void add_certificate_metrics(const tls::material& now, serving::metric_list& out) {
  for (const auto& one : now.certificates.all())
    out.gauge("marchproxy_ingress_certificate_expiry_seconds",
              "When the certificate in force ends, in seconds since 1970.",
              static_cast<std::uint64_t>(
                std::chrono::duration_cast<std::chrono::seconds>(one->not_after.time_since_epoch())
                  .count()),
              {{"name", one->name}});
  out.gauge("marchproxy_ingress_certificate_problems",
            "What is wrong with the certificates on disk; what was in force stays so.",
            now.problems.size());
}

void add_certificate_health(const tls::material& now, json& answer) {
  auto certificates = json::array();
  for (const auto& one : now.certificates.all())
    certificates.push_back({{"name", one->name},
                            {"dns_names", one->dns_names},
                            {"not_after", format_time(one->not_after)}});
  answer["tls"] = {{"certificates", std::move(certificates)},
                   {"client_authorities", now.clients != nullptr},
                   {"problems", now.problems}};
  std::string detail;
  for (const auto& problem : now.problems)
    detail += (detail.empty() ? "" : "; ") + problem;
  answer["dependencies"]["certificates"] = {{"status", now.problems.empty() ? "ok" : "failed"},
                                            {"detail", detail}};
}

} // namespace marchproxy::ingress

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/serving/metrics.hpp"
#include "nodes/tls/certificate_store.hpp"

#include <nlohmann/json_fwd.hpp>

namespace marchproxy::ingress {

/// The certificates in force, on the admin port.
void add_certificate_metrics(const tls::material& now, serving::metric_list& out);
/// Adds `tls`, and under `dependencies` whether all that is on disk is in force.
void add_certificate_health(const tls::material& now, nlohmann::json& answer);

} // namespace marchproxy::ingress

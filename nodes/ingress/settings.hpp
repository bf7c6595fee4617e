// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/serving/settings.hpp"

#include <filesystem>
#include <map>
#include <string>

namespace marchproxy::ingress {

/// What the environment says (docs/configuration.md). Ports are those of the ingress routes.
struct settings : serving::node_settings {
  settings() {
    state_directory = "/var/lib/marchproxy/ingress";
    admin_port = 8082;
    forwarded = relay::client_fields::x_forwarded_for;
  }
  std::filesystem::path certificates;         ///< TLS_CERT_DIR; empty: routes with tls are refused
  std::filesystem::path upstream_authorities; ///< TLS_UPSTREAM_CA_FILE; empty: the system's
  std::filesystem::path client_authorities;   ///< TLS_CLIENT_CA_FILE; empty: no client is verified
  bool kernel_tls = true;                     ///< KERNEL_TLS: what is sent, where the kernel can
};

/// @param for_probe  true: a missing CLUSTER_API_KEY is no error (--healthcheck)
/// @errors invalid_argument naming each variable that is wrong
[[nodiscard]] result<settings> read_settings(const std::map<std::string, std::string>& variables,
                                             bool for_probe);

} // namespace marchproxy::ingress

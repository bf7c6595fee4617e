// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/ingress/settings.hpp"

namespace marchproxy::ingress {

result<settings> read_settings(const std::map<std::string, std::string>& variables,
                               bool for_probe) {
  program::environment env{variables};
  settings out;
  serving::read_node_settings(env, for_probe, out);
  serving::read_path(env, "TLS_CERT_DIR", out.certificates);
  serving::read_path(env, "TLS_CLIENT_CA_FILE", out.client_authorities);
  serving::read_path(env, "TLS_UPSTREAM_CA_FILE", out.upstream_authorities);
  serving::read_truth(env, "KERNEL_TLS", out.kernel_tls);
  if (!out.client_authorities.empty() && out.certificates.empty())
    env.wrong("TLS_CLIENT_CA_FILE", "means nothing without TLS_CERT_DIR");
  if (auto checked = env.check(); !checked)
    return tl::unexpected(checked.error());
  return out;
}

} // namespace marchproxy::ingress

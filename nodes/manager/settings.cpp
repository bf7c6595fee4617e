// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/manager/settings.hpp"

#include "nodes/program/environment.hpp"

namespace marchproxy::manager_node {

result<settings> read_settings(const std::map<std::string, std::string>& variables) {
  program::environment env{variables};
  settings out;
  std::string directory = out.data_directory.string();
  env.text("DATA_DIR", directory);
  out.data_directory = directory;
  env.address("LISTEN_ADDRESS", out.listen_address);
  env.port("LISTEN_PORT", out.listen_port);
  env.list("NATS_URL", out.nats_urls);
  env.address("NATS_LISTEN_ADDRESS", out.nats_listen_address);
  env.port("NATS_LISTEN_PORT", out.nats_listen_port);
  env.secret("ADMIN_PASSWORD", out.admin_password);
  env.secret("MARCHPROXY_KEK", out.kek);
  env.log_level(out.log_level);
  if (!out.admin_password.empty() && out.admin_password.size() < 12)
    env.wrong("ADMIN_PASSWORD", "must have at least 12 characters");
  std::string kind = "sqlite";
  env.text("DB_TYPE", kind);
  env.text("DATABASE_URL", out.database_url);
  if (kind != "sqlite" && kind != "postgres")
    env.wrong("DB_TYPE", "must be sqlite or postgres");
  else if (kind == "postgres" && !out.database_url.starts_with("postgres"))
    env.wrong("DATABASE_URL", "must be postgresql://... with DB_TYPE=postgres");
  if (out.database_url.empty())
    out.database_url = "sqlite:" + (out.data_directory / "marchproxy.db").string();
  if (std::string mode; env.text("RELEASE_MODE", mode), !mode.empty() && mode != "false")
    env.wrong("RELEASE_MODE", "only false works in this version");
  if (auto checked = env.check(); !checked)
    return tl::unexpected(checked.error());
  return out;
}

} // namespace marchproxy::manager_node

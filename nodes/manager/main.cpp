// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/manager/node.hpp"
#include "nodes/program/program.hpp"

namespace {

constexpr const char* help = R"(marchproxy-manager: the manager of MarchProxy

Usage: marchproxy-manager [--help | --version | --healthcheck]

  --healthcheck   asks the manager that runs here for /healthz; exit 0 when it is well

Everything else comes from the environment; docs/configuration.md has every variable. The most used:
  DATA_DIR              where it keeps its data            (/var/lib/marchproxy/manager)
  DB_TYPE, DATABASE_URL sqlite or postgres, and where       (sqlite in DATA_DIR)
  LISTEN_ADDRESS, LISTEN_PORT          of the API           (0.0.0.0, 8000)
  NATS_URL              a NATS cluster to use; unset: a private nats-server
  NATS_LISTEN_ADDRESS, NATS_LISTEN_PORT of the private one  (127.0.0.1, 4222)
  ADMIN_PASSWORD        of the first administrator; unset: generated and printed once
  LOG_LEVEL             trace, debug, info, warn, error     (info)
)";

} // namespace

int main(int argc, char** argv) {
  using namespace marchproxy;
  return program::run(
    {"marchproxy-manager", "manager", help}, argc, argv,
    [](const program::variables& variables, bool) -> result<program::prepared> {
      auto options = manager_node::read_settings(variables);
      if (!options)
        return tl::unexpected(options.error());
      program::prepared out{options->log_level, options->listen_address, options->listen_port, {}};
      out.run = [options = std::move(*options)](const std::function<void()>& wait_for_stop) {
        return manager_node::run(options, wait_for_stop);
      };
      return out;
    });
}

// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/version.hpp"
#include "nodes/http/probe.hpp"
#include "nodes/manager/node.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <string>

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

std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> out;
  for (char** at = environ; *at != nullptr; ++at)
    if (const char* equals = std::strchr(*at, '='))
      out.emplace(std::string(*at, static_cast<std::size_t>(equals - *at)), equals + 1);
  return out;
}

} // namespace

int main(int argc, char** argv) {
  using namespace marchproxy;
  auto argument = argc > 1 ? std::string{argv[1]} : std::string{};
  if (argument == "--help" || argument == "-h") {
    std::cout << help;
    return 0;
  }
  if (argument == "--version") {
    std::cout << "marchproxy-manager " << version() << '\n';
    return 0;
  }
  if (!argument.empty() && argument != "--healthcheck") {
    std::cerr << "marchproxy-manager: unknown option '" << argument << "'; see --help\n";
    return 2;
  }
  auto options = manager_node::read_settings(environment());
  if (!options) {
    std::cerr << "marchproxy-manager: " << to_string(options.error()) << '\n';
    return 2;
  }
  if (argument == "--healthcheck")
    return http::probe_health(options->listen_address, options->listen_port);

  spdlog::set_default_logger(spdlog::stderr_color_mt("manager"));
  spdlog::set_level(spdlog::level::from_str(options->log_level));
  // Blocked before any thread starts, so that only sigwait below takes them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  auto done = manager_node::run(*options, [&] {
    int received = 0;
    sigwait(&signals, &received);
  });
  if (!done) {
    std::cerr << "marchproxy-manager: " << to_string(done.error()) << '\n';
    return 1;
  }
  return 0;
}

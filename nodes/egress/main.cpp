// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/version.hpp"
#include "nodes/egress/node.hpp"
#include "nodes/http/probe.hpp"

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

constexpr const char* help = R"(marchproxy-egress: an egress proxy of MarchProxy

Usage: marchproxy-egress [--help | --version | --healthcheck]

  --healthcheck   asks the proxy that runs here for /healthz; exit 0 while a revision is in force

Everything else comes from the environment; docs/configuration.md has every variable. The most used:
  CLUSTER_API_KEY       the cluster's key, as the manager showed it (required)
  NATS_URL              the bus                            (nats://127.0.0.1:4222)
  PROXY_NAME            its name in the cluster             (the host's name)
  STATE_DIR             where the last good revision lies   (/var/lib/marchproxy/egress)
  LISTEN_ADDRESS, LISTEN_PORT  HTTP CONNECT, GET, SOCKS5    (0.0.0.0, 8080)
  ADMIN_ADDRESS, ADMIN_PORT    /healthz, /metrics, /explain (127.0.0.1, 8081)
  WORKERS               threads of the relay                (1)
  ENABLE_EBPF           true, false, auto                   (auto)
  EBPF_INTERFACES       where routed packets are judged     (every Ethernet interface that is up)
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
    std::cout << "marchproxy-egress " << version() << '\n';
    return 0;
  }
  if (!argument.empty() && argument != "--healthcheck") {
    std::cerr << "marchproxy-egress: unknown option '" << argument << "'; see --help\n";
    return 2;
  }
  auto options = egress::read_settings(environment(), argument == "--healthcheck");
  if (!options) {
    std::cerr << "marchproxy-egress: " << to_string(options.error()) << '\n';
    return 2;
  }
  if (argument == "--healthcheck")
    return http::probe_health(options->admin_address, options->admin_port);

  spdlog::set_default_logger(spdlog::stderr_color_mt("egress"));
  spdlog::set_level(spdlog::level::from_str(options->log_level));
  // Blocked before any thread starts, so that only sigwait below takes them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  auto done = egress::run(*options, [&] {
    int received = 0;
    sigwait(&signals, &received);
  });
  if (!done) {
    std::cerr << "marchproxy-egress: " << to_string(done.error()) << '\n';
    return 1;
  }
  return 0;
}

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/program/program.hpp"

#include "actors/base/version.hpp"
#include "nodes/http/probe.hpp"
#include "nodes/program/process.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <iostream>

namespace marchproxy::program {

namespace {

int failed(const about& what, const error& why, int code) {
  std::cerr << what.name << ": " << to_string(why) << '\n';
  return code;
}

} // namespace

int run(const about& what, int argc, char** argv, const preparer& prepare) {
  const auto argument = argc > 1 ? std::string{argv[1]} : std::string{};
  if (argument == "--help" || argument == "-h") {
    std::cout << what.help;
    return 0;
  }
  if (argument == "--version") {
    std::cout << what.name << ' ' << version() << '\n';
    return 0;
  }
  const auto probe = argument == "--healthcheck";
  if (!argument.empty() && !probe) {
    std::cerr << what.name << ": unknown option '" << argument << "'; see --help\n";
    return 2;
  }
  const auto ready = prepare(own_variables(), probe);
  if (!ready)
    return failed(what, ready.error(), 2);
  if (probe)
    return http::probe_health(ready->health_address, ready->health_port);

  spdlog::set_default_logger(spdlog::stderr_color_mt(what.log));
  spdlog::set_level(spdlog::level::from_str(ready->log_level));
  const auto descriptors = raise_descriptor_limit();
  spdlog::debug("{} descriptors at most", descriptors);
  // Blocked before any thread starts, so that only sigwait below takes them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  const auto done = ready->run([&] {
    int received = 0;
    sigwait(&signals, &received);
  });
  return done ? 0 : failed(what, done.error(), 1);
}

} // namespace marchproxy::program

// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/program/environment.hpp"

#include <cstdint>
#include <functional>
#include <string>

namespace marchproxy::program {

struct about {
  const char* name; ///< of the program
  const char* log;  ///< its name in the log
  const char* help;
};

/// What the environment came to.
struct prepared {
  std::string log_level;
  std::string health_address; ///< where /healthz answers while it runs
  std::uint16_t health_port = 0;
  /// Blocks until it has ended in order; calls its argument, which blocks until that is asked for.
  std::function<result<void>(const std::function<void()>& wait_for_stop)> run;
};
/// @param for_probe  only log_level and where /healthz answers are wanted
using preparer = std::function<result<prepared>(const variables&, bool for_probe)>;

/// The main() of a program of a node: --help, --version, --healthcheck, or it runs until SIGINT or
/// SIGTERM.
/// @return the exit code: 0; 1 if it could not run; 2 for wrong flags or variables
[[nodiscard]] int run(const about& what, int argc, char** argv, const preparer& prepare);

} // namespace marchproxy::program

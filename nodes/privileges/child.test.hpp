// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace marchproxy::privileges::testing {

/// Runs @p action in a process of its own, which nothing that it gives up outlives.
/// @return its exit code, or `signal 31` when it was ended by one
template <class Action>
std::string in_child(Action action) {
  const auto child = ::fork();
  if (child == 0) {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::_exit(action());
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child)
    return "no child";
  return WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                             : std::to_string(WEXITSTATUS(status));
}

} // namespace marchproxy::privileges::testing

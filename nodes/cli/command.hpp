// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/cli/arguments.hpp"

#include <iosfwd>
#include <string>
#include <vector>

namespace marchproxy::cli {

/// Where a command reads and writes.
struct terminal {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
};

constexpr int exit_ok = 0;
constexpr int exit_failed = 1; ///< the manager refused, the chain is broken, a revision was aborted
constexpr int exit_usage = 2;  ///< the command line is wrong

/// The program `marchproxy`. @param words  without its name; @return the exit code
[[nodiscard]] int run(const std::vector<std::string>& words, const environment& env, terminal& at);

// The commands behind it.
[[nodiscard]] int run_ctl(const arguments& given, terminal& at);
[[nodiscard]] int run_explain(const arguments& given, terminal& at);
[[nodiscard]] int run_status(const arguments& given, terminal& at);
[[nodiscard]] int run_tiers(const arguments& given, terminal& at);
[[nodiscard]] int run_sriov(const arguments& given, terminal& at);
[[nodiscard]] int run_healthcheck(const arguments& given, terminal& at);
[[nodiscard]] int run_audit(const arguments& given, terminal& at);

/// Says what is wrong with the command line.
[[nodiscard]] int usage_error(terminal& at, const std::string& why);

} // namespace marchproxy::cli

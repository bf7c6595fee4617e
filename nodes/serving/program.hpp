// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/program/program.hpp"

#include <functional>
#include <utility>

namespace marchproxy::serving {

/// The main() of a proxy program, from how it reads its settings and how it runs.
template <class Settings>
[[nodiscard]] int main_of(const program::about& what,
                          int argc,
                          char** argv,
                          result<Settings> (*read)(const program::variables&, bool for_probe),
                          result<void> (*run)(const Settings&, const std::function<void()>&)) {
  return program::run(
    what, argc, argv,
    [&](const program::variables& variables, bool for_probe) -> result<program::prepared> {
      auto options = read(variables, for_probe);
      if (!options)
        return tl::unexpected(options.error());
      program::prepared out{options->log_level, options->admin_address, options->admin_port, {}};
      out.run = [run, options = std::move(*options)](const std::function<void()>& wait_for_stop) {
        return run(options, wait_for_stop);
      };
      return out;
    });
}

} // namespace marchproxy::serving

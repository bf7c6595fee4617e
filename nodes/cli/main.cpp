// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/command.hpp"

#include <curl/curl.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  namespace cli = marchproxy::cli;
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    std::cerr << "marchproxy: libcurl does not start\n";
    return cli::exit_failed;
  }
  cli::environment env;
  // Nothing else runs yet, so nobody changes the environment meanwhile.
  for (const auto* name : {"MANAGER_URL", "MARCHPROXY_API_KEY"})
    if (const char* value = std::getenv(name); value != nullptr) // NOLINT(concurrency-mt-unsafe)
      env[name] = value;
  cli::terminal at{std::cin, std::cout, std::cerr};
  const int code = cli::run(std::vector<std::string>(argv + 1, argv + argc), env, at);
  curl_global_cleanup();
  return code;
}

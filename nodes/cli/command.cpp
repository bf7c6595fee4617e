// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/command.hpp"

#include "actors/base/version.hpp"
#include "nodes/cli/resource.hpp"

#include <ostream>

namespace marchproxy::cli {

namespace {

constexpr const char* general_help =
  R"(marchproxy: asks and changes a MarchProxy manager

usage:
  marchproxy ctl RESOURCE VERB [ID] [--cluster C] [--set FIELD=VALUE]... [-f FILE] [--wait SECONDS]
  marchproxy explain --cluster C --source IP (--destination D --port N | --to URL) [--protocol tcp]
  marchproxy audit verify FILE|-        follows the hash chain offline; exit 1 when it is broken
  marchproxy audit verify --url URL     the same over the manager's export
  marchproxy audit export [--after N] [--ledger L]
  marchproxy status
  marchproxy tiers [--url URL]          what judges packets at the proxy whose admin port this is
                                        (http://127.0.0.1:8081), and why nothing faster
  marchproxy sriov list                 network cards of this machine with virtual functions
  marchproxy sriov plan DEVICE (--set FIELD=VALUE... | -f FILE)   what apply would do, or why not
  marchproxy sriov apply DEVICE ...     does it, and undoes it when a step fails (as root)
  marchproxy sriov remove DEVICE        removes the virtual functions of a card (as root)

options:
  --url URL         the manager (MANAGER_URL; otherwise http://127.0.0.1:8000)
  --api-key KEY     an API key (MARCHPROXY_API_KEY)
  --json            JSON instead of tables
  --timeout SECONDS how long one answer may take (90)
  --if-match ETAG   with ctl: change only this version
  --management I,J  with sriov: interfaces that the machine is managed by, besides those that
                    default routes and connections use
  --release I,J     with sriov: interfaces whose connections may be cut
  --sysfs DIR       with sriov: another tree than /sys
  --healthcheck     exit 0 when the manager is healthy
  --version, --help

--set takes JSON where the value is JSON and text otherwise; health_check.path=/up sets an inner field.
Exit codes: 0 done, 1 failed, 2 wrong usage.

resources and their verbs:
)";

std::string help() {
  std::string out = general_help;
  for (const auto& one : resources()) {
    out += "  " + std::string(one.name) + std::string(16 - one.name.size(), ' ');
    for (const auto& verb : one.verbs)
      if (!verb.name.empty())
        out.append(verb.name).append(" ");
    if (one.verbs.front().path.find("{service}") != std::string_view::npos)
      out += "(with --cluster and --service)";
    else if (one.verbs.front().path.find("{cluster}") != std::string_view::npos)
      out += "(with --cluster)";
    while (out.back() == ' ')
      out.pop_back();
    out += "\n";
  }
  return out;
}

} // namespace

int usage_error(terminal& at, const std::string& why) {
  at.err << "marchproxy: " << why << "\n(marchproxy --help says more)\n";
  return exit_usage;
}

int run(const std::vector<std::string>& words, const environment& env, terminal& at) {
  const auto given = parse_arguments(words, env);
  if (!given)
    return usage_error(at, given.error().message);
  if (given->help) {
    at.out << help();
    return exit_ok;
  }
  if (given->version) {
    at.out << "marchproxy " << version() << "\n";
    return exit_ok;
  }
  if (given->healthcheck)
    return run_healthcheck(*given, at);
  if (given->words.empty())
    return usage_error(at, "what is to be done?");
  const auto& command = given->words.front();
  if (command == "ctl")
    return run_ctl(*given, at);
  if (command == "explain")
    return run_explain(*given, at);
  if (command == "audit")
    return run_audit(*given, at);
  if (command == "status")
    return run_status(*given, at);
  if (command == "tiers")
    return run_tiers(*given, at);
  if (command == "sriov")
    return run_sriov(*given, at);
  return usage_error(at, "no command '" + command
                           + "'; there are: ctl explain audit status tiers sriov");
}

} // namespace marchproxy::cli

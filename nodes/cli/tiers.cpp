// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/command.hpp"
#include "nodes/cli/conversation.hpp"
#include "nodes/cli/sriov.hpp"
#include "nodes/cli/table.hpp"

#include <array>
#include <ostream>
#include <string_view>

namespace marchproxy::cli {

namespace {

using nlohmann::json;

constexpr const char* proxy_here = "http://127.0.0.1:8081"; // ADMIN_PORT of an egress proxy

/// What was counted at all, a row each.
json counted(const json& counters) {
  json rows = json::array();
  for (const auto& [program, events] : counters.items())
    for (const auto& [event, count] : events.items())
      if (count != 0)
        rows.push_back({{"program", program}, {"event", event}, {"count", count}});
  return rows;
}

void show(const json& tiers, std::ostream& out) {
  static constexpr std::array<std::string_view, 5> interfaces{"name", "kind", "hook", "mode",
                                                              "not_higher"};
  static constexpr std::array<std::string_view, 2> declined{"name", "reason"};
  static constexpr std::array<std::string_view, 3> counters{"program", "event", "count"};
  static constexpr std::array<std::string_view, 4> functions{"function", "address", "driver",
                                                             "port"};
  out << "tier: " << cell(tiers.at("chosen")) << "\n";
  if (!tiers.at("interfaces").empty())
    out << "\n" << table(tiers.at("interfaces"), interfaces);
  if (const auto rows = function_rows(tiers.value("sriov", json::array())); !rows.empty())
    out << "\n" << table(rows, functions);
  if (!tiers.at("declined").empty())
    out << "\nnot in use:\n" << table(tiers.at("declined"), declined);
  if (const auto rows = counted(tiers.at("counters")); !rows.empty())
    out << "\n" << table(rows, counters);
}

bool is_answer(const json& tiers) {
  return tiers.is_object() && tiers.contains("chosen") && tiers.contains("counters")
         && tiers.contains("declined") && tiers.contains("interfaces")
         && tiers.at("interfaces").is_array() && tiers.at("declined").is_array()
         && tiers.at("counters").is_object();
}

} // namespace

int run_tiers(const arguments& given, terminal& at) {
  if (given.words.size() > 1)
    return usage_error(at, "tiers takes no more words; --url names the proxy's admin port");
  auto asked = given;
  if (!given.url_given)
    asked.url = proxy_here;
  conversation proxy(asked, at);
  const auto got = proxy.ask_raw({.path = "/tiers"});
  if (!got)
    return exit_failed;
  const auto tiers = json::parse(got->body, nullptr, false);
  if (!is_answer(tiers)) {
    at.err << "marchproxy: this is no answer of a proxy's admin port\n";
    return exit_failed;
  }
  if (given.json)
    at.out << tiers.dump() << "\n";
  else
    show(tiers, at.out);
  return exit_ok;
}

} // namespace marchproxy::cli

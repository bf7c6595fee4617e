// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/sriov.hpp"

#include "dpdk/sriov/report.hpp"
#include "dpdk/sriov/wanted.hpp"
#include "nodes/cli/input_file.hpp"
#include "nodes/cli/table.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <ostream>
#include <string_view>

namespace marchproxy::cli {

namespace {

using nlohmann::json;

int failed(terminal& at, const error& e) {
  at.err << "marchproxy: " << to_string(e.code) << ": " << e.message << "\n";
  for (const auto& f : e.fields)
    at.err << "  " << f.field << ": " << f.message << "\n";
  return e.code == errc::invalid_argument ? exit_usage : exit_failed;
}

std::vector<std::string> comma_list(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t from = 0; from < text.size();) {
    const auto end = std::min(text.find(',', from), text.size());
    if (end > from)
      out.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  return out;
}

void show(const json& cards, std::ostream& out) {
  static constexpr std::array<std::string_view, 7> of_cards{
    "interfaces", "address", "driver", "numa_node", "count", "most", "management"};
  static constexpr std::array<std::string_view, 11> of_functions{
    "function",    "address", "driver",     "interfaces",  "mac",   "vlan",
    "spoof_check", "trust",   "link_state", "iommu_group", "in_use"};
  out << table(cards, of_cards);
  if (const auto rows = function_rows(cards); !rows.empty())
    out << "\n" << table(rows, of_functions);
}

int list(const sriov::machine& machine, const arguments& given, terminal& at) {
  const auto seen = sriov::observe(machine);
  if (!seen)
    return failed(at, seen.error());
  const auto cards = sriov::to_json(seen->has, seen->use);
  const auto unused = sriov::why_unused(seen->has);
  if (given.json)
    at.out << json{{"physical_functions", cards}, {"unused", unused}}.dump() << "\n";
  else if (cards.empty())
    at.out << unused << "\n";
  else
    show(cards, at.out);
  return exit_ok;
}

/// What the options and the file say; the device's name from the words goes before the file's.
result<sriov::wanted_state> read_wanted(const arguments& given, terminal& at) {
  auto file = read_file(given.file, at.in);
  if (!file)
    return tl::unexpected(file.error());
  auto body = make_body(*file, given.settings);
  if (!body)
    return tl::unexpected(body.error());
  if (given.words.size() > 2)
    (*body)["device"] = given.words[2];
  if (given.words[1] == "remove")
    (*body)["count"] = 0;
  return sriov::read_wanted(*body);
}

void show_step(const sriov::step& s, std::ostream& out) {
  out << to_string(s.does) << "  (" << s.what << ")\n";
}

constexpr const char* nothing = "nothing to do: all is as wanted\n";

int plan(const sriov::machine& machine,
         const sriov::wanted_state& wanted,
         const arguments& given,
         terminal& at) {
  const auto seen = sriov::observe(machine);
  if (!seen)
    return failed(at, seen.error());
  const auto steps = sriov::plan(seen->has, wanted, seen->use);
  if (!steps)
    return failed(at, steps.error());
  if (given.json) {
    at.out << json{{"sysfs", machine.sys.root()}, {"steps", sriov::to_json(*steps)}}.dump() << "\n";
    return exit_ok;
  }
  if (steps->empty())
    at.out << nothing;
  else
    at.out << "in " << machine.sys.root() << ":\n";
  for (const auto& s : *steps)
    show_step(s, at.out);
  return exit_ok;
}

int change(const sriov::machine& machine,
           const sriov::wanted_state& wanted,
           const arguments& given,
           terminal& at) {
  const auto done = sriov::apply(machine, wanted, [&](const sriov::step& s) {
    if (!given.json)
      show_step(s, at.out);
    at.out.flush(); // before it is done: it may take seconds, or the link
  });
  if (!done)
    return failed(at, done.error());
  if (given.json)
    at.out << json{{"sysfs", machine.sys.root()}, {"steps", sriov::to_json(*done)}}.dump() << "\n";
  else
    at.out << (done->empty() ? nothing : "done\n");
  return exit_ok;
}

} // namespace

json function_rows(const json& cards) {
  json rows = json::array();
  if (!cards.is_array())
    return rows;
  for (const auto& card : cards) {
    if (!card.is_object() || !card.contains("functions"))
      continue;
    const auto names = card.value("interfaces", json::array());
    const auto parent = names.empty() ? card.value("address", json(nullptr)) : names.front();
    for (auto row : card.at("functions")) {
      if (!row.is_object())
        continue;
      row["function"] = cell(parent) + "/vf" + cell(row.value("index", json(nullptr)));
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

int run_sriov_on(const sriov::machine& machine, const arguments& given, terminal& at) {
  const auto what = given.words.size() > 1 ? given.words[1] : std::string();
  if (what == "list" && given.words.size() == 2)
    return list(machine, given, at);
  if ((what != "plan" && what != "apply" && what != "remove") || given.words.size() > 3)
    return usage_error(at, "sriov knows: list, plan DEVICE, apply DEVICE, remove DEVICE");
  if (what == "remove" && (!given.settings.empty() || !given.file.empty()))
    return usage_error(at, "sriov remove takes a device and no more");
  const auto wanted = read_wanted(given, at);
  if (!wanted)
    return failed(at, wanted.error());
  return what == "plan" ? plan(machine, *wanted, given, at) : change(machine, *wanted, given, at);
}

int run_sriov(const arguments& given, terminal& at) {
  auto root = given.option("sysfs");
  const sriov::sysfs_reader sys{root.empty() ? "/sys" : root};
  if (!sys.exists("class/net"))
    return usage_error(at, "--sysfs: there is no " + sys.path("class/net"));
  sriov::file_writer files{sys.root()};
  const auto kernel = sriov::kernel_netlink::open();
  if (!kernel)
    return failed(at, kernel.error());
  return run_sriov_on(
    {sys,
     files,
     **kernel,
     "/proc",
     {comma_list(given.option("management")), comma_list(given.option("release"))}},
    given, at);
}

} // namespace marchproxy::cli

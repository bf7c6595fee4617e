// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/audit/chain.hpp"
#include "nodes/cli/command.hpp"
#include "nodes/cli/conversation.hpp"
#include "nodes/http/message.hpp"

#include <fstream>
#include <istream>
#include <ostream>
#include <string>

namespace marchproxy::cli {

namespace {

using nlohmann::json;

/// A subscriber of the AUDIT stream has events; the record is their data.
std::string record_of(const std::string& line) {
  if (line.find("\"specversion\"") == std::string::npos)
    return line;
  const auto event = json::parse(line, nullptr, false);
  if (!event.is_object() || !event.contains("specversion") || !event.contains("data"))
    return line;
  return event.at("data").dump(-1, ' ', false, json::error_handler_t::replace);
}

void verify_lines(std::istream& from, audit::verifier& chain) {
  for (std::string line; std::getline(from, line);)
    if (!chain.add_line(record_of(line)))
      return;
}

/// Hands every line of the manager's export to @p take. @return false when it could not be had
template <class Take>
bool fetch_export(const arguments& given, terminal& at, Take take) {
  conversation manager(given, at);
  std::string after = given.option("after");
  const auto ledger = given.option("ledger");
  do {
    std::string path = "/api/v1/audit/export?after=" + (after.empty() ? "0" : after);
    if (!ledger.empty())
      path += "&ledger=" + http::percent_encode(ledger);
    const auto got = manager.ask_raw({.path = path});
    if (!got)
      return false;
    take(got->body);
    after = got->next_after;
  } while (!after.empty());
  return true;
}

int tell(const audit::verifier::report& report, const arguments& given, terminal& at) {
  if (given.json) {
    json out = {{"ok", report.ok()},
                {"records", report.records},
                {"head", {{"sequence", report.head.sequence}, {"hash", report.head.hash}}}};
    if (report.broken)
      out["broken"] = {{"sequence", report.broken->sequence},
                       {"kind", to_string(report.broken->kind)},
                       {"reason", report.broken->reason}};
    at.out << out.dump() << "\n";
  } else if (report.broken) {
    at.out << "broken at " << report.broken->sequence << ": " << report.broken->reason << " ("
           << report.records << " records before it hold)\n";
  } else {
    at.out << "ok: " << report.records << " records, head " << report.head.sequence << " "
           << report.head.hash << "\n";
  }
  return report.ok() ? exit_ok : exit_failed;
}

int run_verify(const arguments& given, terminal& at) {
  audit::expectation expected;
  if (const auto ledger = given.option("ledger"); !ledger.empty())
    expected.ledger = ledger;
  audit::verifier chain(expected);
  if (given.words.size() > 3 || (given.words.size() == 2 && !given.url_given))
    return usage_error(at, "audit verify needs one file, - for standard input, or --url");
  if (given.words.size() == 2) {
    const bool fetched = fetch_export(given, at, [&](const std::string& text) {
      std::size_t from = 0;
      while (from < text.size()) {
        const auto end = std::min(text.find('\n', from), text.size());
        static_cast<void>(chain.add_line(text.substr(from, end - from)));
        from = end + 1;
      }
    });
    return fetched ? tell(chain.finish(), given, at) : exit_failed;
  }
  if (given.words[2] == "-") {
    verify_lines(at.in, chain);
    return tell(chain.finish(), given, at);
  }
  std::ifstream file(given.words[2]);
  if (!file) {
    at.err << "marchproxy: cannot read " << given.words[2] << "\n";
    return exit_failed;
  }
  verify_lines(file, chain);
  return tell(chain.finish(), given, at);
}

} // namespace

int run_audit(const arguments& given, terminal& at) {
  const auto what = given.words.size() > 1 ? given.words[1] : std::string();
  if (what == "verify")
    return run_verify(given, at);
  if (what != "export" || given.words.size() > 2)
    return usage_error(at, "audit knows: verify FILE|-, verify --url URL, export");
  const bool fetched = fetch_export(given, at, [&](const std::string& text) { at.out << text; });
  return fetched ? exit_ok : exit_failed;
}

} // namespace marchproxy::cli

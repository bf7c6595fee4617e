// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/command.hpp"
#include "nodes/cli/conversation.hpp"
#include "nodes/cli/input_file.hpp"
#include "nodes/cli/resource.hpp"
#include "nodes/cli/table.hpp"
#include "nodes/http/message.hpp"

#include <ostream>

namespace marchproxy::cli {

namespace {

using nlohmann::json;

/// What became of the revision, for people. @return false when it was given up
bool tell_revision(const json& answer, std::ostream& err) {
  const auto found = answer.find("revision");
  if (found == answer.end() || !found->is_object())
    return true;
  const auto state = found->value("state", std::string());
  const auto proxies = found->value("proxies", json::object());
  err << "revision " << cell(found->value("number", json())) << " " << state << " ("
      << cell(proxies.value("applied", json())) << " of " << cell(proxies.value("expected", json()))
      << " proxies)";
  if (const auto reason = cell(found->value("reason", json(""))); !reason.empty() && reason != "-")
    err << ": " << reason;
  err << "\n";
  return state != "aborted";
}

} // namespace

int run_ctl(const arguments& given, terminal& at) {
  const auto file = read_file(given.file, at.in);
  if (!file)
    return usage_error(at, file.error().message);
  const auto planned = plan(given, *file);
  if (!planned)
    return usage_error(at, planned.error().message);
  conversation manager(given, at);
  const auto answer =
    planned->how->list ? manager.ask_all(planned->request) : manager.ask(planned->request);
  if (!answer)
    return exit_failed;
  const auto& data = answer->at("data");
  if (given.json)
    at.out << answer->dump(2, ' ', false, json::error_handler_t::replace) << "\n";
  else if (planned->how->list)
    at.out << table(data, planned->what->columns);
  else if (!data.is_null())
    at.out << fields(data);
  const bool applied = tell_revision(*answer, at.err);
  return applied ? exit_ok : exit_failed;
}

int run_explain(const arguments& given, terminal& at) {
  json body = json::object();
  for (const auto* name : {"source", "destination", "protocol"})
    if (const auto value = given.option(name); !value.empty())
      body[name] = value;
  if (const auto url = given.option("to"); !url.empty())
    body["url"] = url;
  for (const auto* name : {"port", "revision"})
    if (const auto value = given.option(name); !value.empty()) {
      body[name] = json::parse(value, nullptr, false);
      if (!body[name].is_number_integer())
        return usage_error(at, std::string("--") + name + " needs a number");
    }
  const auto cluster = given.option("cluster");
  if (cluster.empty() || !body.contains("source")
      || (!body.contains("destination") && !body.contains("url")))
    return usage_error(
      at, "explain needs --cluster, --source, and --destination with --port, or --to URL");
  conversation manager(given, at);
  const auto answer =
    manager.ask({.method = "POST",
                 .path = "/api/v1/clusters/" + http::percent_encode(cluster) + "/explain",
                 .body = body.dump()});
  if (!answer)
    return exit_failed;
  if (given.json)
    at.out << answer->at("data").dump(2) << "\n";
  else
    at.out << fields(answer->at("data"));
  return exit_ok;
}

int run_status(const arguments& given, terminal& at) {
  conversation manager(given, at);
  const auto answer = manager.ask({.path = "/api/v1/status"});
  if (!answer)
    return exit_failed;
  if (given.json)
    at.out << answer->at("data").dump(2) << "\n";
  else
    at.out << fields(answer->at("data"));
  return exit_ok;
}

int run_healthcheck(const arguments& given, terminal& at) {
  api_client client(given.url, {}, std::chrono::seconds(5));
  const auto got = client.send({.path = "/healthz"});
  if (!got) {
    at.err << "marchproxy: " << to_string(got.error()) << "\n";
    return exit_failed;
  }
  at.out << got->body << "\n";
  return got->status == 200 ? exit_ok : exit_failed;
}

} // namespace marchproxy::cli

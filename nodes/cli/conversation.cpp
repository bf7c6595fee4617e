// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/conversation.hpp"

#include "nodes/cli/table.hpp"
#include "nodes/http/message.hpp"

#include <ostream>
#include <utility>

namespace marchproxy::cli {

namespace {

using nlohmann::json;

std::string text_at(const json& object, const char* pointer) {
  const json::json_pointer at(pointer);
  return object.is_object() && object.contains(at) ? cell(object.at(at)) : std::string();
}

void tell_refusal(std::ostream& err, const api_response& got) {
  const auto answer = json::parse(got.body, nullptr, false);
  const auto code = text_at(answer, "/error/code");
  if (code.empty()) {
    err << "marchproxy: the manager answered HTTP " << got.status << "\n";
    return;
  }
  err << "marchproxy: " << code << ": " << text_at(answer, "/error/message") << "\n";
  const auto& problem = answer.at("error");
  if (const auto details = problem.find("details"); details != problem.end() && details->is_array())
    for (const auto& one : *details)
      err << "  " << text_at(one, "/field") << ": " << text_at(one, "/message") << "\n";
}

} // namespace

conversation::conversation(const arguments& given, terminal& at)
  : at_(at), client_(given.url, given.api_key, given.timeout) {}

std::optional<api_response> conversation::ask_raw(const api_request& what) {
  auto got = client_.send(what);
  if (!got) {
    at_.err << "marchproxy: " << to_string(got.error()) << "\n";
    return std::nullopt;
  }
  if (got->status < 200 || got->status > 299) {
    tell_refusal(at_.err, *got);
    return std::nullopt;
  }
  return *std::move(got);
}

std::optional<json> conversation::ask(const api_request& what) {
  const auto got = ask_raw(what);
  if (!got)
    return std::nullopt;
  auto answer = json::parse(got->body, nullptr, false);
  if (!answer.is_object() || !answer.contains("data")) {
    at_.err << "marchproxy: this is no answer of a manager\n";
    return std::nullopt;
  }
  return answer;
}

std::optional<json> conversation::ask_all(api_request what) {
  const auto path = what.path;
  what.path = path + "?limit=500";
  auto all = ask(what);
  auto last = all;
  while (last && all->at("data").is_array() && last->value("next_cursor", json()).is_string()) {
    what.path = path + "?limit=500&cursor="
                + http::percent_encode(last->at("next_cursor").get<std::string>());
    last = ask(what);
    if (!last)
      return std::nullopt;
    for (auto& item : last->at("data"))
      all->at("data").push_back(std::move(item));
  }
  if (all)
    all->erase("next_cursor");
  return all;
}

} // namespace marchproxy::cli

// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/request_reader.hpp"

#include "nodes/wire/http1.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

namespace marchproxy::api {

namespace {

constexpr std::size_t deepest_body = 32;
constexpr std::size_t longest_text = 256;

std::optional<std::uint64_t> number(std::string_view text, std::uint64_t low, std::uint64_t high) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || value < low || value > high)
    return std::nullopt;
  return value;
}

bool printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

/// Reads `limit`, `cursor` and `after`. @return none: the route has no such parameter; empty: it is
/// good; else why not
std::optional<std::string> read_list_parameter(const route& which,
                                               call& c,
                                               const std::string& name,
                                               const std::string& value) {
  const bool ledger = which.shape == shape::ledger;
  if (name == "limit") {
    const auto limit = number(value, 1, 500);
    c.list.limit = static_cast<std::size_t>(limit.value_or(0));
    return limit ? "" : "must be an integer from 1 to 500";
  }
  if (name == "cursor" && !ledger) {
    c.list.cursor = value;
    return value.size() <= longest_text ? "" : "is not a cursor of ours";
  }
  if (name == "after" && ledger) {
    const auto after = number(value, 0, std::numeric_limits<std::int64_t>::max());
    c.after = after.value_or(0);
    return after ? "" : "must be a sequence number";
  }
  return std::nullopt;
}

/// Reads one query parameter. @return why it is refused, empty when it is not
std::string
read_parameter(const route& which, call& c, const std::string& name, const std::string& value) {
  if (which.shape == shape::list || which.shape == shape::ledger)
    if (auto read = read_list_parameter(which, c, name, value))
      return *std::move(read);
  if (name == "wait" && (which.shape == shape::create || which.shape == shape::modify)) {
    const auto wait = number(value, 0, 60);
    c.how.wait = std::chrono::seconds(wait.value_or(0));
    return wait ? "" : "must be a number of seconds from 0 to 60";
  }
  if (std::find(which.filters.begin(), which.filters.end(), name) != which.filters.end()) {
    c.list.filters.emplace_back(name, value);
    return value.size() <= longest_text ? "" : "is too long";
  }
  // The earlier proxies send parameters of their own.
  return which.needs == permission::proxy_key ? "" : "is not a parameter of this operation";
}

/// `"17"`, `W/"17"` is refused: If-Match compares strongly (RFC 9110 13.1.1). `*` asks for nothing
/// more than existence.
std::string read_if_match(call& c, std::string_view value) {
  if (value == "*")
    return {};
  std::optional<std::uint64_t> version;
  if (value.size() > 2 && value.front() == '"' && value.back() == '"')
    version =
      number(value.substr(1, value.size() - 2), 1, std::numeric_limits<std::int64_t>::max());
  c.how.if_match = version;
  return version ? "" : "must be one ETag as the resource's answer had it";
}

} // namespace

result<void> read_parameters(const route& which, call& c) {
  error refused{errc::invalid_argument, "the request has parameters that are not valid", {}};
  const auto check = [&](const std::string& name, std::string why) {
    if (!why.empty())
      refused.fields.push_back({name, std::move(why)});
  };
  for (const auto& [name, value] : http::parse_query(c.request.query))
    check(name, read_parameter(which, c, name, value));
  if (const auto match = c.request.header("if-match"); match && which.shape == shape::modify)
    check("If-Match", read_if_match(c, *match));
  if (const auto key = c.request.header("idempotency-key"); key && which.shape == shape::create) {
    c.how.idempotency_key = *key;
    const bool good = !key->empty() && key->size() <= 128 && printable(*key);
    check("Idempotency-Key", good ? "" : "must have 1 to 128 printable characters");
  }
  if (!refused.fields.empty())
    return tl::unexpected(std::move(refused));
  return {};
}

bool nests_at_most(std::string_view text, std::size_t most) noexcept {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else
        quoted = c != '"';
      continue;
    }
    if (c == '"')
      quoted = true;
    else if ((c == '[' || c == '{') && ++depth > most)
      return false;
    else if ((c == ']' || c == '}') && depth > 0)
      --depth;
  }
  return true;
}

result<void> read_body(const route& which, call& c) {
  const auto& text = c.request.body;
  if (which.takes.empty() || (text.empty() && which.body_optional)) {
    c.body = json::object();
    return {};
  }
  auto type = c.request.header("content-type").value_or("");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ')
    type.remove_suffix(1);
  // Asking for the type also keeps foreign pages out: a browser sends JSON elsewhere only after it
  // was allowed to.
  if (!wire::iequals(type, "application/json")
      && !wire::iequals(type, "application/merge-patch+json"))
    return fail(errc::unsupported, "the body must be application/json");
  if (!nests_at_most(text, deepest_body))
    return fail_field("", "nests more than 32 deep");
  c.body = json::parse(text, nullptr, false);
  if (c.body.is_discarded())
    return fail_field("", "the body is not JSON");
  if (!c.body.is_object())
    return fail_field("", "the body must be a JSON object");
  return {};
}

std::string bearer_token(const http::request& request) {
  const auto header = request.header("authorization").value_or("");
  constexpr std::string_view scheme = "bearer ";
  if (!wire::iequals(header.substr(0, scheme.size()), scheme))
    return {};
  return std::string(header.substr(scheme.size()));
}

std::string shown_key(const http::request& request) {
  for (const auto* name : {"x-api-key", "x-cluster-api-key", "cluster-api-key"})
    if (const auto key = request.header(name); key && !key->empty())
      return std::string(*key);
  return bearer_token(request);
}

} // namespace marchproxy::api

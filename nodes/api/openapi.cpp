// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/openapi.hpp"

#include "actors/base/version.hpp"
#include "nodes/api/route.hpp"

#include <nlohmann/json.hpp>

#include <string>

namespace marchproxy::api {

namespace {

json reference(std::string_view schema) {
  return {{"$ref", "#/components/schemas/" + std::string(schema)}};
}

json parameter(std::string_view name, const char* in, const char* what, json schema) {
  return {{"name", name},
          {"in", in},
          {"required", std::string_view(in) == "path"},
          {"description", what},
          {"schema", std::move(schema)}};
}

json integer(std::int64_t low, std::int64_t high) {
  return {{"type", "integer"}, {"minimum", low}, {"maximum", high}};
}

json parameters_of(const route& which) {
  const json text = {{"type", "string"}};
  json out = json::array();
  for (const auto name : parameter_names(which.path))
    out.push_back(parameter(name, "path", name == "cluster" ? "Id or name" : "Id", text));
  const bool list = which.shape == shape::list || which.shape == shape::ledger;
  if (list)
    out.push_back(parameter("limit", "query", "Most items on a page", integer(1, 500)));
  if (which.shape == shape::list)
    out.push_back(parameter("cursor", "query", "next_cursor of the page before", text));
  if (which.shape == shape::ledger)
    out.push_back(
      parameter("after", "query", "Sequence number to go on after", {{"type", "integer"}}));
  for (const auto name : which.filters)
    if (!name.empty())
      out.push_back(parameter(name, "query", "Only items with this value", text));
  if (which.shape == shape::create || which.shape == shape::modify)
    out.push_back(
      parameter("wait", "query", "Seconds to wait for the rollout (default 5)", integer(0, 60)));
  if (which.shape == shape::create)
    out.push_back(parameter("Idempotency-Key", "header", "The same key makes one resource", text));
  if (which.shape == shape::modify)
    out.push_back(parameter("If-Match", "header", "ETag that must still hold", text));
  return out;
}

json success_schema(const route& which) {
  json data = which.returns.empty() ? json{{"type", "null"}} : reference(which.returns);
  if (which.bare)
    return data;
  const bool list = which.shape == shape::list || which.shape == shape::ledger;
  if (list)
    data = {{"type", "array"}, {"items", std::move(data)}};
  json properties = {{"success", {{"const", true}}},
                     {"data", std::move(data)},
                     {"timestamp", {{"type", "string"}, {"format", "date-time"}}},
                     {"request_id", {{"type", "string"}}}};
  json required = {"success", "data", "timestamp", "request_id"};
  if (list) {
    properties["next_cursor"] = {{"type", {"string", "null"}}};
    required.push_back("next_cursor");
  }
  if (which.shape == shape::create || which.shape == shape::modify)
    properties["revision"] = reference("RolloutOutcome");
  return {
    {"type", "object"}, {"required", std::move(required)}, {"properties", std::move(properties)}};
}

json answer(const char* what, std::string_view media, json schema) {
  return {{"description", what}, {"content", {{media, {{"schema", std::move(schema)}}}}}};
}

void add_refusal(json& responses, const char* status, const char* what) {
  responses[status] = answer(what, "application/json", reference("ErrorEnvelope"));
}

json responses_of(const route& which) {
  const bool text = which.media != "application/json";
  json out;
  out[std::to_string(which.status)] =
    answer(std::string(which.summary).c_str(), which.media,
           text ? json{{"type", "string"}} : success_schema(which));
  if (which.operation == "health")
    out["503"] = answer("A dependency fails", "application/json", reference("Health"));
  add_refusal(out, "429", "Too many requests, or a limit is reached");
  if (which.needs == permission::none && which.takes.empty())
    return out;
  add_refusal(out, "400", "A field is not valid; `details` names it");
  add_refusal(out, "401", "Who is it?");
  if (which.needs != permission::none)
    add_refusal(out, "403", "Not with these roles");
  if (!parameter_names(which.path).empty())
    add_refusal(out, "404", "No such resource");
  if (!which.takes.empty())
    add_refusal(out, "415", "The body is not JSON");
  if (which.shape == shape::create || which.shape == shape::modify || which.shape == shape::action)
    add_refusal(out, "409", "It exists already, or is in use");
  if (which.shape == shape::modify)
    add_refusal(out, "412", "If-Match does not hold");
  return out;
}

json security_of(const route& which) {
  if (which.needs == permission::none)
    return json::array();
  if (which.needs == permission::proxy_key)
    return json::array({{{"clusterKey", json::array()}}, {{"apiKey", json::array()}}});
  return json::array({{{"apiKey", json::array()}}, {{"session", json::array()}}});
}

json operation_of(const route& which) {
  json out = {{"operationId", which.operation},
              {"summary", which.summary},
              {"x-permission", to_string(which.needs)},
              {"security", security_of(which)},
              {"responses", responses_of(which)}};
  if (auto parameters = parameters_of(which); !parameters.empty())
    out["parameters"] = std::move(parameters);
  if (!which.takes.empty())
    out["requestBody"] = {
      {"required", !which.body_optional},
      {"content", {{"application/json", {{"schema", reference(which.takes)}}}}}};
  return out;
}

std::string lower(std::string_view method) {
  std::string out(method);
  for (char& c : out)
    c = static_cast<char>(c - 'A' + 'a');
  return out;
}

} // namespace

json openapi_document() {
  json paths = json::object();
  for (const auto& which : routes())
    paths[std::string(which.path)][lower(which.method)] = operation_of(which);
  const json key_header = {{"type", "apiKey"}, {"in", "header"}, {"name", "X-Cluster-API-Key"}};
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "MarchProxy manager"},
            {"version", std::string(version())},
            {"license", {{"name", "AGPL-3.0-only"}, {"identifier", "AGPL-3.0-only"}}}}},
          {"paths", std::move(paths)},
          {"components",
           {{"schemas", openapi_schemas()},
            {"securitySchemes",
             {{"apiKey", {{"type", "http"}, {"scheme", "bearer"}}},
              {"session", {{"type", "apiKey"}, {"in", "cookie"}, {"name", "mp_session"}}},
              {"clusterKey", key_header}}}}}};
}

} // namespace marchproxy::api

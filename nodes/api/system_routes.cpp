// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/version.hpp"
#include "nodes/api/reply.hpp"
#include "nodes/api/route.hpp"

#include <string>

namespace marchproxy::api {

namespace {

result<reply> health(call& c) {
  bool all = true;
  json dependencies = json::object();
  for (const auto& one : c.manager.health()) {
    all = all && one.ok;
    dependencies[one.name] = {{"status", one.ok ? "ok" : "failed"}, {"detail", one.detail}};
  }
  auto out = reply_bare({{"status", all ? "ok" : "failed"},
                         {"version", std::string(version())},
                         {"dependencies", std::move(dependencies)}});
  out.status = all ? 200 : 503;
  return out;
}

result<reply> metrics(call& c) {
  reply out;
  out.text = c.texts.metrics();
  out.content_type = "text/plain; version=0.0.4; charset=utf-8";
  return out;
}

result<reply> openapi(call& c) {
  reply out;
  out.text = c.texts.openapi;
  out.content_type = "application/json";
  return out;
}

result<reply> status(call& c) {
  return c.manager.status(c.by).map(reply_data);
}

constexpr route table[] = {
  {.method = "GET",
   .path = "/healthz",
   .operation = "health",
   .summary = "State of each dependency; 503 when one fails",
   .run = health,
   .returns = "Health",
   .bare = true},
  {.method = "GET",
   .path = "/metrics",
   .operation = "metrics",
   .summary = "Prometheus metrics",
   .run = metrics,
   .bare = true,
   .media = "text/plain"},
  {.method = "GET",
   .path = "/api/v1/openapi.json",
   .operation = "openapi",
   .summary = "This document",
   .run = openapi,
   .returns = "OpenApi",
   .bare = true},
  {.method = "GET",
   .path = "/api/v1/status",
   .operation = "status",
   .summary = "Version, bus, storage, clusters and their revisions at a glance",
   .needs = permission::authenticated,
   .run = status,
   .returns = "Status"},
};

} // namespace

std::span<const route> system_routes() {
  return table;
}

} // namespace marchproxy::api

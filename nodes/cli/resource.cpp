// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/resource.hpp"

#include "nodes/http/message.hpp"

#include <algorithm>

namespace marchproxy::cli {

namespace {

constexpr resource table[] = {
  {"clusters",
   {"id", "name", "max_proxies", "observe", "description"},
   {{{.name = "list", .method = "GET", .path = "/clusters", .list = true},
     {.name = "get", .method = "GET", .path = "/clusters/{id}"},
     {.name = "create", .method = "POST", .path = "/clusters", .takes_body = true},
     {.name = "update", .method = "PATCH", .path = "/clusters/{id}", .takes_body = true},
     {.name = "replace", .method = "PUT", .path = "/clusters/{id}", .takes_body = true},
     {.name = "delete", .method = "DELETE", .path = "/clusters/{id}"},
     {.name = "rotate-key", .method = "POST", .path = "/clusters/{id}/keys", .takes_body = true}}}},
  {"services",
   {"id", "name", "address", "ports", "protocols", "collection", "auth_type", "active"},
   {{{.name = "list", .method = "GET", .path = "/clusters/{cluster}/services", .list = true},
     {.name = "get", .method = "GET", .path = "/clusters/{cluster}/services/{id}"},
     {.name = "create",
      .method = "POST",
      .path = "/clusters/{cluster}/services",
      .takes_body = true},
     {.name = "update",
      .method = "PATCH",
      .path = "/clusters/{cluster}/services/{id}",
      .takes_body = true},
     {.name = "replace",
      .method = "PUT",
      .path = "/clusters/{cluster}/services/{id}",
      .takes_body = true},
     {.name = "delete", .method = "DELETE", .path = "/clusters/{cluster}/services/{id}"}}}},
  {"credentials",
   {"id", "kind", "algorithm", "expires_at"},
   {{{.name = "list",
      .method = "GET",
      .path = "/clusters/{cluster}/services/{service}/credentials",
      .list = true},
     {.name = "create",
      .method = "POST",
      .path = "/clusters/{cluster}/services/{service}/credentials",
      .takes_body = true},
     {.name = "delete",
      .method = "DELETE",
      .path = "/clusters/{cluster}/services/{service}/credentials/{id}"}}}},
  {"mappings",
   {"id", "priority", "action", "sources", "destinations", "protocols", "ports", "active",
    "observe"},
   {{{.name = "list", .method = "GET", .path = "/clusters/{cluster}/mappings", .list = true},
     {.name = "get", .method = "GET", .path = "/clusters/{cluster}/mappings/{id}"},
     {.name = "create",
      .method = "POST",
      .path = "/clusters/{cluster}/mappings",
      .takes_body = true},
     {.name = "update",
      .method = "PATCH",
      .path = "/clusters/{cluster}/mappings/{id}",
      .takes_body = true},
     {.name = "replace",
      .method = "PUT",
      .path = "/clusters/{cluster}/mappings/{id}",
      .takes_body = true},
     {.name = "delete", .method = "DELETE", .path = "/clusters/{cluster}/mappings/{id}"}}}},
  {"ingress-routes",
   {"id", "name", "protocol", "listen_port", "host", "path", "backends", "active"},
   {{{.name = "list", .method = "GET", .path = "/clusters/{cluster}/ingress-routes", .list = true},
     {.name = "get", .method = "GET", .path = "/clusters/{cluster}/ingress-routes/{id}"},
     {.name = "create",
      .method = "POST",
      .path = "/clusters/{cluster}/ingress-routes",
      .takes_body = true},
     {.name = "update",
      .method = "PATCH",
      .path = "/clusters/{cluster}/ingress-routes/{id}",
      .takes_body = true},
     {.name = "replace",
      .method = "PUT",
      .path = "/clusters/{cluster}/ingress-routes/{id}",
      .takes_body = true},
     {.name = "delete", .method = "DELETE", .path = "/clusters/{cluster}/ingress-routes/{id}"}}}},
  {"proxies",
   {"id", "name", "kind", "state", "version", "revision", "last_seen"},
   {{{.name = "list", .method = "GET", .path = "/clusters/{cluster}/proxies", .list = true},
     {.name = "get", .method = "GET", .path = "/clusters/{cluster}/proxies/{id}"},
     {.name = "delete", .method = "DELETE", .path = "/clusters/{cluster}/proxies/{id}"}}}},
  {"revisions",
   {"number", "state", "reason", "created_at"},
   {{{.name = "list", .method = "GET", .path = "/clusters/{cluster}/revisions", .list = true},
     {.name = "get", .method = "GET", .path = "/clusters/{cluster}/revisions/{id}"},
     {.name = "restore", .method = "POST", .path = "/clusters/{cluster}/revisions/{id}/restore"}}}},
  {"users",
   {"id", "username", "active", "roles"},
   {{{.name = "list", .method = "GET", .path = "/users", .list = true},
     {.name = "create", .method = "POST", .path = "/users", .takes_body = true},
     {.name = "set-roles", .method = "PUT", .path = "/users/{id}/roles", .takes_body = true},
     {.name = "delete", .method = "DELETE", .path = "/users/{id}"}}}},
  {"api-keys",
   {"id", "name", "scope", "expires_at"},
   {{{.name = "list", .method = "GET", .path = "/api-keys", .list = true},
     {.name = "create", .method = "POST", .path = "/api-keys", .takes_body = true},
     {.name = "delete", .method = "DELETE", .path = "/api-keys/{id}"}}}},
};

std::string names_of(std::span<const resource> all) {
  std::string out;
  for (const auto& one : all)
    out.append(" ").append(one.name);
  return out;
}

std::string names_of(const resource& what) {
  std::string out;
  for (const auto& one : what.verbs)
    if (!one.name.empty())
      out.append(" ").append(one.name);
  return out;
}

result<std::string> fill(std::string_view path, const arguments& given) {
  std::string out = "/api/v1";
  while (!path.empty()) {
    const auto open = std::min(path.find('{'), path.size());
    out += path.substr(0, open);
    path.remove_prefix(open);
    if (path.empty())
      break;
    const auto close = path.find('}');
    const std::string name(path.substr(1, close - 1));
    path.remove_prefix(close + 1);
    std::string value = given.option(name);
    if (name == "id")
      value = given.words.size() > 3 ? given.words[3] : std::string();
    if (value.empty())
      return fail(errc::invalid_argument, name == "id" ? std::string("an id or a name is missing")
                                                       : "--" + name + " is missing");
    out += http::percent_encode(value);
  }
  return out;
}

} // namespace

std::span<const resource> resources() {
  return table;
}

result<planned> plan(const arguments& given, const std::string& file) {
  if (given.words.size() < 3)
    return fail(errc::invalid_argument,
                "ctl needs a resource and a verb; resources:" + names_of(resources()));
  planned out;
  for (const auto& one : table)
    if (one.name == given.words[1])
      out.what = &one;
  if (out.what == nullptr)
    return fail(errc::invalid_argument,
                "no resource '" + given.words[1] + "'; there are:" + names_of(resources()));
  for (const auto& one : out.what->verbs)
    if (!one.name.empty() && one.name == given.words[2])
      out.how = &one;
  if (out.how == nullptr)
    return fail(errc::invalid_argument, std::string(out.what->name) + " cannot '" + given.words[2]
                                          + "', but:" + names_of(*out.what));
  const bool has_id = out.how->path.find("{id}") != std::string_view::npos;
  if (given.words.size() > (has_id ? 4U : 3U))
    return fail(errc::invalid_argument, "'" + given.words.back() + "' is one word too many");
  auto path = fill(out.how->path, given);
  if (!path)
    return tl::unexpected(std::move(path).error());
  out.request.method = out.how->method;
  out.request.path = *std::move(path);
  if (const auto wait = given.option("wait"); !wait.empty())
    out.request.path += "?wait=" + http::percent_encode(wait);
  out.request.if_match = given.option("if-match");
  if (!out.how->takes_body && (!given.settings.empty() || !given.file.empty()))
    return fail(errc::invalid_argument, std::string(out.how->name) + " takes neither --set nor -f");
  if (out.how->takes_body) {
    auto body = make_body(file, given.settings);
    if (!body)
      return tl::unexpected(std::move(body).error());
    out.request.body = body->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  return out;
}

} // namespace marchproxy::cli

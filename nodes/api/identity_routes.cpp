// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/reply.hpp"
#include "nodes/api/route.hpp"
#include "nodes/api/session_cookie.hpp"

#include <string>

namespace marchproxy::api {

namespace {

json to_json(const principal& who) {
  json grants = json::array();
  for (const auto& grant : who.grants)
    grants.push_back({{"role", to_string(grant.role)},
                      {"cluster_id", grant.cluster ? json(grant.cluster.value) : json(nullptr)}});
  return {{"kind", who.kind},
          {"id", who.id},
          {"name", who.name},
          {"roles", std::move(grants)},
          {"read_only", who.read_only}};
}

result<std::string> text_of(const json& body, const char* field, std::size_t most) {
  const auto found = body.find(field);
  if (found == body.end())
    return fail_field(field, "is required");
  if (!found->is_string())
    return fail_field(field, "must be a string");
  auto text = found->get<std::string>();
  if (text.empty() || text.size() > most)
    return fail_field(field, "must have 1 to " + std::to_string(most) + " bytes");
  return text;
}

result<reply> login(call& c) {
  const auto username = text_of(c.body, "username", 128);
  const auto password = text_of(c.body, "password", 1024);
  if (!username || !password) {
    error both = username ? password.error() : username.error();
    if (!username && !password)
      both.fields.push_back(password.error().fields.front());
    return tl::unexpected(std::move(both));
  }
  return c.manager.login(*username, *password, c.by.source).map([](const session& made) {
    auto out = reply_data({{"csrf_token", made.csrf_token},
                           {"expires_in", made.lifetime.count()},
                           {"user", to_json(made.who)}});
    out.headers.emplace_back("Set-Cookie", session_cookie(made.token, made.lifetime));
    return out;
  });
}

result<reply> logout(call& c) {
  if (c.session_token.empty())
    return fail(errc::conflict, "an API key has no session to end");
  return c.manager.logout(c.by, c.session_token).map([] {
    auto out = reply_nothing();
    out.headers.emplace_back("Set-Cookie", session_cookie("", std::chrono::seconds(0)));
    return out;
  });
}

result<reply> me(call& c) {
  auto out = to_json(c.by.who);
  if (c.session_token.empty())
    return reply_data(std::move(out));
  return c.manager.find_session(c.session_token).map([&](const session& mine) {
    out["csrf_token"] = mine.csrf_token;
    return reply_data(std::move(out));
  });
}

result<user_id> user_of(const call& c) {
  return c.number("user").map([](std::uint64_t value) { return user_id{value}; });
}

result<reply> list_users(call& c) {
  return c.manager.list_users(c.by, c.list).map(reply_page);
}

result<reply> create_user(call& c) {
  return c.manager.create_user(c.by, c.body).map(reply_row);
}

result<reply> set_roles(call& c) {
  return user_of(c).and_then(
    [&](user_id user) { return c.manager.set_roles(c.by, user, c.body).map(reply_row); });
}

result<reply> delete_user(call& c) {
  return user_of(c).and_then(
    [&](user_id user) { return c.manager.delete_user(c.by, user).map(reply_nothing); });
}

result<reply> list_api_keys(call& c) {
  return c.manager.list_api_keys(c.by, c.list).map(reply_page);
}

result<reply> create_api_key(call& c) {
  return c.manager.create_api_key(c.by, c.body).map(reply_row);
}

result<reply> delete_api_key(call& c) {
  return c.manager.delete_api_key(c.by, c.parameter("key")).map(reply_nothing);
}

constexpr route table[] = {
  {.method = "POST",
   .path = "/api/v1/auth/login",
   .operation = "login",
   .summary = "Starts a session: a cookie, and a token for X-CSRF-Token",
   .shape = shape::action,
   .run = login,
   .takes = "Login",
   .returns = "Session"},
  {.method = "POST",
   .path = "/api/v1/auth/logout",
   .operation = "logout",
   .summary = "Ends the session",
   .shape = shape::action,
   .needs = permission::authenticated,
   .run = logout,
   .reads_only = true},
  {.method = "GET",
   .path = "/api/v1/auth/me",
   .operation = "me",
   .summary = "Who the caller is",
   .needs = permission::authenticated,
   .run = me,
   .returns = "Principal"},
  {.method = "GET",
   .path = "/api/v1/users",
   .operation = "listUsers",
   .summary = "Users and their roles",
   .shape = shape::list,
   .needs = permission::administer,
   .run = list_users,
   .returns = "User",
   .filters = {"name"}},
  {.method = "POST",
   .path = "/api/v1/users",
   .operation = "createUser",
   .summary = "A new local user",
   .shape = shape::action,
   .needs = permission::administer,
   .run = create_user,
   .takes = "UserInput",
   .returns = "User",
   .status = 201},
  {.method = "PUT",
   .path = "/api/v1/users/{user}/roles",
   .operation = "setUserRoles",
   .summary = "The roles of a user, all of them",
   .shape = shape::action,
   .needs = permission::administer,
   .run = set_roles,
   .takes = "RolesInput",
   .returns = "User"},
  {.method = "DELETE",
   .path = "/api/v1/users/{user}",
   .operation = "deleteUser",
   .summary = "Removes a user with their sessions and API keys",
   .shape = shape::action,
   .needs = permission::administer,
   .run = delete_user},
  {.method = "GET",
   .path = "/api/v1/api-keys",
   .operation = "listApiKeys",
   .summary = "One's own API keys, without the secrets",
   .shape = shape::list,
   .needs = permission::authenticated,
   .run = list_api_keys,
   .returns = "ApiKey"},
  {.method = "POST",
   .path = "/api/v1/api-keys",
   .operation = "createApiKey",
   .summary = "A new API key of one's own, shown once",
   .shape = shape::action,
   .needs = permission::authenticated,
   .run = create_api_key,
   .takes = "ApiKeyInput",
   .returns = "NewApiKey",
   .status = 201},
  {.method = "DELETE",
   .path = "/api/v1/api-keys/{key}",
   .operation = "deleteApiKey",
   .summary = "Ends an API key of one's own",
   .shape = shape::action,
   .needs = permission::authenticated,
   .run = delete_api_key},
};

} // namespace

std::span<const route> identity_routes() {
  return table;
}

} // namespace marchproxy::api

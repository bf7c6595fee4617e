// SPDX-License-Identifier: AGPL-3.0-only
// Logins, users, API keys.
#include "actors/crypto/digest.hpp"
#include "actors/crypto/password.hpp"
#include "actors/crypto/random.hpp"
#include "actors/identity/tokens.hpp"
#include "nodes/manager/backend.hpp"

#include <algorithm>
#include <charconv>

namespace marchproxy::manager_node {

namespace {

using namespace std::chrono_literals;

constexpr auto session_idle = 8h;
constexpr std::uint64_t lock_after = 5;
constexpr auto touched_every = std::chrono::minutes{1};
constexpr auto lock_for = 5min;
constexpr auto failures_count_for = 15min;

/// Follows from the session's token, so that it needs no storing and both change together.
std::string csrf_of(std::string_view token) {
  return crypto::to_base64url(crypto::view(crypto::hmac_sha256(token, "marchproxy csrf v1")));
}

json roles_json(const storage::role_map& roles) {
  json out = json::array();
  for (const auto& [cluster, names] : roles)
    for (const auto& name : names)
      out.push_back(
        {{"role", name}, {"cluster_id", cluster ? json(cluster.value) : json(nullptr)}});
  return out;
}

api::row user_row(const storage::user_record& u) {
  return {{{"id", u.id.value},
           {"username", u.name},
           {"active", u.active},
           {"roles", roles_json(u.roles)},
           {"version", u.version},
           {"created_at", format_time(u.created_at)},
           {"last_login", u.last_login ? json(format_time(*u.last_login)) : json(nullptr)}},
          u.version};
}

json key_json(const storage::api_key_record& k) {
  auto writes = std::find(k.scopes.begin(), k.scopes.end(), "write") != k.scopes.end();
  return {{"id", std::to_string(k.id)},
          {"name", k.name},
          {"scope", writes ? "write" : "read"},
          {"created_at", format_time(k.created_at)},
          {"expires_at", k.expires_at ? json(format_time(*k.expires_at)) : json(nullptr)},
          {"last_used", k.last_used ? json(format_time(*k.last_used)) : json(nullptr)}};
}

result<std::string>
required_text(const json& body, const char* field, std::size_t least, std::size_t most) {
  auto found = body.is_object() ? body.find(field) : body.end();
  if (!body.is_object() || found == body.end())
    return fail_field(field, "is required");
  if (!found->is_string())
    return fail_field(field, "must be a text");
  auto text = found->get<std::string>();
  if (text.size() < least || text.size() > most)
    return fail_field(field, "must have " + std::to_string(least) + " to " + std::to_string(most)
                               + " bytes");
  return text;
}

tl::unexpected<error> wrong_login() {
  return fail(errc::unauthenticated, "wrong username or password");
}

} // namespace

result<api::principal> backend::principal_of(user_id user) {
  auto found = store_->user(user);
  if (!found)
    return tl::unexpected(found.error());
  if (!found->active)
    return fail(errc::unauthenticated, "the account is not active");
  api::principal out;
  out.kind = "user";
  out.id = std::to_string(found->id.value);
  out.name = found->name;
  out.user = found->id;
  for (const auto& [cluster, names] : found->roles)
    for (const auto& name : names)
      out.grants.push_back(
        {name == "administrator" ? api::role::administrator : api::role::service_owner, cluster});
  return out;
}

result<api::session> backend::login(const std::string& username,
                                    const std::string& password,
                                    const std::string& source) {
  auto now = wall_now();
  auto subject = "user:" + username;
  auto throttle = store_->throttle(subject);
  if (!throttle)
    return tl::unexpected(throttle.error());
  if (throttle->locked_until && *throttle->locked_until > now)
    return fail(errc::limit_reached,
                "the account is locked until " + format_time(*throttle->locked_until));
  storage::change_context by;
  by.actor_kind = "user";
  by.actor_name = username.substr(0, 100);
  by.source = source;
  by.at = now;
  auto user = store_->user_by_name(username);
  // The same work for a name that does not exist, so that the time tells nothing.
  static const auto nobody =
    crypto::hash_password(crypto::secret{crypto::random_token(16)}).value_or("");
  auto right =
    crypto::verify_password(user ? user->password_hash : nobody, crypto::secret{password});
  if (!user || !right || !user->active) {
    auto noted =
      store_->note_failure(subject, now, now - failures_count_for, lock_after, now + lock_for);
    auto logged = store_->append_audit(
      by, cluster_id{}, {"session.login", "user", "", username.substr(0, 100), "refused", ""});
    if (!noted || !logged)
      return tl::unexpected(noted ? logged.error() : noted.error());
    return wrong_login();
  }
  by.actor_id = std::to_string(user->id.value);
  auto token = crypto::random_token(32);
  auto made = store_->create_session({identity::token_hash(token), user->id,
                                      identity::token_hash(csrf_of(token)), source, now, now,
                                      now + session_idle});
  if (!made)
    return tl::unexpected(made.error());
  auto cleared = store_->clear_throttle(subject);
  auto logged = store_->append_audit(
    by, cluster_id{}, {"session.login", "user", by.actor_id, user->name, "success", ""});
  if (!cleared || !logged)
    return tl::unexpected(cleared ? logged.error() : cleared.error());
  return principal_of(user->id).map([&](api::principal who) {
    return api::session{token, csrf_of(token), std::move(who), session_idle};
  });
}

result<void> backend::logout(const api::caller& by, const std::string& token) {
  if (auto done = store_->delete_session(identity::token_hash(token)); !done)
    return done;
  return store_
    ->append_audit(context_of(by), cluster_id{},
                   {"session.logout", "user", by.who.id, by.who.name, "success", ""})
    .map([](const storage::outcome&) {});
}

result<api::session> backend::find_session(const std::string& token) {
  auto now = wall_now();
  auto found = store_->session(identity::token_hash(token), now);
  if (!found)
    return fail(errc::unauthenticated, "the session has ended");
  if (now - found->last_seen > touched_every)
    if (auto done = store_->touch_session(identity::token_hash(token), now, now + session_idle);
        !done)
      return tl::unexpected(done.error());
  return principal_of(found->user).map([&](api::principal who) {
    return api::session{token, csrf_of(token), std::move(who), session_idle};
  });
}

result<api::principal> backend::find_api_key(const std::string& key) {
  if (!identity::looks_like_api_key(key))
    return fail(errc::unauthenticated, "not an API key");
  auto found = store_->use_api_key(identity::token_hash(key), wall_now());
  if (!found)
    return found.error().code == errc::not_found
             ? fail(errc::unauthenticated, "unknown or expired API key")
             : tl::unexpected(found.error());
  auto who = principal_of(found->user);
  if (!who)
    return who;
  who->kind = "api_key";
  who->id = std::to_string(found->id);
  who->name = found->name;
  who->read_only =
    std::find(found->scopes.begin(), found->scopes.end(), "write") == found->scopes.end();
  return who;
}

result<storage::role_map> backend::parse_roles(const json& body) {
  storage::role_map out;
  auto list = body.is_object() ? body.find("roles") : body.end();
  if (!body.is_object() || list == body.end())
    return out;
  if (!list->is_array())
    return fail_field("roles", "must be an array");
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto& one = (*list)[i];
    auto field = "roles[" + std::to_string(i) + "]";
    auto role = one.is_object() ? one.value("role", json{}) : json{};
    if (role != "administrator" && role != "service_owner")
      return fail_field(field + ".role", "must be administrator or service_owner");
    auto cluster = one.value("cluster", json{});
    cluster_id id;
    if (!cluster.is_null()) {
      auto found = find_cluster(cluster.is_string() ? cluster.get<std::string>() : cluster.dump());
      if (!found)
        return fail_field(field + ".cluster", "no such cluster");
      id = found->id;
    }
    out[id].push_back(role.get<std::string>());
  }
  return out;
}

result<api::page> backend::list_users(const api::caller&, const api::query& q) {
  return page_of(q).and_then([&](const storage::page_request& which) {
    return store_->users(which).map([&](const auto& found) {
      api::page out;
      auto name = filter_of(q, "name");
      for (const auto& u : found.items)
        if (!name || u.name == *name)
          out.items.push_back(user_row(u).data);
      if (found.next != 0)
        out.next_cursor = std::to_string(found.next);
      return out;
    });
  });
}

result<api::row> backend::create_user(const api::caller& by, const json& body) {
  auto name = required_text(body, "username", 1, 100);
  auto password = required_text(body, "password", 1, 256);
  auto roles = parse_roles(body);
  if (!name || !password || !roles)
    return tl::unexpected(!name ? name.error() : !password ? password.error() : roles.error());
  if (auto fine = identity::check_new_password(crypto::secret{*password}, *name, "password"); !fine)
    return tl::unexpected(fine.error());
  auto hash = crypto::hash_password(crypto::secret{*password});
  if (!hash)
    return tl::unexpected(hash.error());
  storage::user_record value;
  value.name = *name;
  value.password_hash = *hash;
  value.must_change = true;
  value.roles = *roles;
  return store_->create_user(context_of(by), value).and_then([&](const storage::outcome& done) {
    return store_->user(user_id{done.id}).map(user_row);
  });
}

result<api::row> backend::set_roles(const api::caller& by, user_id user, const json& body) {
  auto roles = parse_roles(body);
  auto known = store_->user(user);
  if (!roles || !known)
    return tl::unexpected(roles ? known.error() : roles.error());
  known->roles = *roles;
  return store_->update_user(context_of(by), *known, known->version)
    .and_then([&](const storage::outcome&) { return store_->user(user).map(user_row); });
}

result<void> backend::delete_user(const api::caller& by, user_id user) {
  if (by.who.user == user)
    return fail(errc::conflict, "nobody can delete their own account");
  return store_->delete_user(context_of(by), user).map([](const storage::outcome&) {});
}

result<api::page> backend::list_api_keys(const api::caller& by, const api::query&) {
  return store_->api_keys(by.who.user).map([](const std::vector<storage::api_key_record>& found) {
    api::page out;
    for (const auto& k : found)
      out.items.push_back(key_json(k));
    return out;
  });
}

result<api::row> backend::create_api_key(const api::caller& by, const json& body) {
  auto name = required_text(body, "name", 1, 100);
  if (!name)
    return tl::unexpected(name.error());
  auto scope = body.value("scope", json("write"));
  if (scope != "read" && scope != "write")
    return fail_field("scope", "must be read or write");
  storage::api_key_record value;
  value.user = by.who.user;
  value.name = *name;
  value.scopes = {scope.get<std::string>()};
  if (auto until = body.value("expires_at", json{}); !until.is_null()) {
    value.expires_at = until.is_string() ? parse_time(until.get<std::string>()) : std::nullopt;
    if (!value.expires_at)
      return fail_field("expires_at",
                        "must be an RFC 3339 time in UTC, such as 2027-01-31T00:00:00Z");
  }
  auto key = identity::mint_api_key();
  value.key_hash = key.hash;
  value.created_at = wall_now();
  return store_->create_api_key(context_of(by), value).map([&](const storage::outcome& done) {
    value.id = done.id;
    auto out = key_json(value);
    out["api_key"] = std::string{key.text.expose()};
    return api::row{std::move(out), 0};
  });
}

result<void> backend::delete_api_key(const api::caller& by, const std::string& id) {
  std::uint64_t number = 0;
  auto [at, ec] = std::from_chars(id.data(), id.data() + id.size(), number);
  if (ec != std::errc{} || at != id.data() + id.size())
    return fail(errc::not_found, "no API key '" + id + "'");
  return store_->delete_api_key(context_of(by), by.who.user, number)
    .map([](const storage::outcome&) {});
}

} // namespace marchproxy::manager_node
